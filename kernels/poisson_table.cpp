#include "kernels/poisson_table.hpp"

#include <cmath>

#include "kernels/shapes.hpp"

namespace orthospike {

std::vector<std::uint32_t> poisson_table(double mean) {
  require(std::isfinite(mean) && mean >= 0, "poisson_table", "the mean is no number of at least 0");
  std::vector<std::uint32_t> below;
  double sum = 0;
  for (double k = 0;; ++k) {
    sum += mean == 0 ? 1 : std::exp(k * std::log(mean) - mean - std::lgamma(k + 1));
    const double bound = std::floor(0x1p32 * sum);
    // Sums of rounded numbers may end a little below 1.
    if (bound >= 0x1p32 || (k > mean && !below.empty() && bound == below.back())) return below;
    below.push_back(static_cast<std::uint32_t>(bound));
  }
}

}  // namespace orthospike
