#include "core/environment/random.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

namespace admrl {

namespace {

// Uniform on [0, 1) from 64 random bits.
double unit(std::uint32_t low, std::uint32_t high) noexcept {
  const std::uint64_t bits = (static_cast<std::uint64_t>(high) << 32) | low;
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

// Two independent normal numbers from two uniform ones on [0, 1); 1 - u is never 0.
template <class T>
std::array<T, 2> box_muller(T u, T v) noexcept {
  const T radius = std::sqrt(T(-2) * std::log(T(1) - u));
  const T angle = T(2) * std::numbers::pi_v<T> * v;
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

}  // namespace

void fill_uniform(const Stream& stream, std::span<double> out) noexcept {
  for (std::size_t i = 0; i < out.size(); i += 2) {
    const PhiloxBlock b = stream.block(static_cast<std::uint32_t>(i / 2));
    out[i] = unit(b[0], b[1]);
    if (i + 1 < out.size()) out[i + 1] = unit(b[2], b[3]);
  }
}

void fill_normal(const Stream& stream, std::span<double> out) noexcept {
  for (std::size_t i = 0; i < out.size(); i += 2) {
    const PhiloxBlock b = stream.block(static_cast<std::uint32_t>(i / 2));
    const auto pair = box_muller(unit(b[0], b[1]), unit(b[2], b[3]));
    out[i] = pair[0];
    if (i + 1 < out.size()) out[i + 1] = pair[1];
  }
}

void fill_normal(const Stream& stream, std::uint32_t step, std::span<float> out) noexcept {
  const auto blocks = static_cast<std::uint32_t>((out.size() + 3) / 4);
  for (std::uint32_t k = 0; k < blocks; ++k) {
    const PhiloxBlock b = stream.block(step * blocks + k);
    std::array<float, 4> normal;
    for (std::size_t i = 0; i < 4; i += 2) {
      const auto pair = box_muller(static_cast<float>(b[i] >> 8) * 0x1p-24F,
                                   static_cast<float>(b[i + 1] >> 8) * 0x1p-24F);
      normal[i] = pair[0];
      normal[i + 1] = pair[1];
    }
    const std::size_t first = std::size_t{4} * k;
    std::copy_n(normal.begin(), std::min<std::size_t>(4, out.size() - first),
                out.begin() + static_cast<std::ptrdiff_t>(first));
  }
}

}  // namespace admrl
