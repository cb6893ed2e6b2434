#pragma once

#include <stdexcept>

namespace orthospike {

/// The user asked for something that cannot be: a bad option, key or value. `main` answers with exit code 2.
/// The message is one sentence that names the key and what was expected.
class ConfigError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The world did not deliver: a missing, damaged or unwritable file, too little memory, a device that is not
/// there. `main` answers with exit code 1. The message is one sentence that names the thing.
class EnvironmentError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace orthospike
