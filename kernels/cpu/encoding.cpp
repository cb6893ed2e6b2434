#include "kernels/encoding.hpp"

#include <array>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/host_view.hpp"

namespace orthospike {

void execute(CpuBackend& cpu, const EncodeImages& op) {
  std::array<float, 256> current_of_pixel{};
  for (std::size_t pixel = 0; pixel < current_of_pixel.size(); ++pixel) {
    current_of_pixel[pixel] = (static_cast<float>(pixel) / 255.0F - op.mean) / op.deviation;
  }
  const auto pixel_order = host(op.pixel_order);
  constexpr std::size_t rows_per_piece = 16;
  for_each_range(
      cpu.pool(), op.samples.size(), rows_per_piece, [&](std::size_t, std::size_t first, std::size_t last) {
        for (std::size_t b = first; b < last; ++b) {
          const auto image =
              host(op.images).subspan(host(op.samples)[b] * pixel_order.size(), pixel_order.size());
          const auto out = host(op.currents).row(b);
          for (std::size_t j = 0; j < out.size(); ++j) out[j] = current_of_pixel[image[pixel_order[j]]];
        }
      });
}

template std::shared_ptr<Encoding> make_family(CpuBackend&, double&);

}  // namespace orthospike
