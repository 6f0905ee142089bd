// In which numbers the large matrix products are computed.
#pragma once

#include <bit>
#include <cstdint>
#include <string>

namespace admrl {

// bf16: both operands rounded to bfloat16, sums in float32.
enum class Precision { fp32, bf16 };

// Raises InvalidInput for a name other than "fp32" and "bf16".
Precision precision_named(const std::string& name);

// Raises InvalidInput if the kernels in use have no product in this precision.
void check_precision(Precision precision);

// To the nearest bfloat16, ties to even; not-a-number stays one.
inline std::uint16_t to_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if (x != x) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

// Two numbers as one operand of Kernels::pair_product.
inline std::uint32_t bf16_pair(float low, float high) {
  return to_bf16(low) | static_cast<std::uint32_t>(to_bf16(high)) << 16;
}

}  // namespace admrl
