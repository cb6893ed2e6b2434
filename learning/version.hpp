#pragma once

namespace orthospike {

/// Set by the build.
extern const char* const version;
extern const char* const git_revision;  ///< of the sources, "+changes" if they differ; "unknown" outside git

}  // namespace orthospike
