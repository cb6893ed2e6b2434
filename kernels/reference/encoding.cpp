#include "kernels/encoding.hpp"

#include "kernels/host_view.hpp"
#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

void execute(ReferenceBackend&, const EncodeImages& op) {
  const auto samples = host(op.samples), pixel_order = host(op.pixel_order);
  const auto images = host(op.images);
  const auto currents = host(op.currents);
  for (std::size_t b = 0; b < currents.rows; ++b) {
    for (std::size_t j = 0; j < currents.cols; ++j) {
      const auto pixel = static_cast<float>(images[samples[b] * currents.cols + pixel_order[j]]);
      currents(b, j) = (pixel / 255.0F - op.mean) / op.deviation;
    }
  }
}

template std::shared_ptr<Encoding> make_family(ReferenceBackend&, double&);

}  // namespace orthospike
