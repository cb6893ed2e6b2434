#include "learning/subspaces/extractor.hpp"

#include "learning/subspaces/lateral_hebbian.hpp"

namespace orthospike {

Extractors& extractors() {
  static auto registry = [] {
    Extractors known("hlop.extractor", "How subspaces are learned");
    known.add<LateralHebbian>("lateral_hebbian", "by Hebbian and anti-Hebbian circuits");
    return known;
  }();
  return registry;
}

}  // namespace orthospike
