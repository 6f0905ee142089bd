// A counter-based random stream: every number is a pure function of what it is for.
//
// Philox4x32-10 with key = seed and counter = (block, episode, environment, purpose), so a draw
// does not depend on threads, on the order of the environments, or on what was drawn before.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace admrl {

using PhiloxBlock = std::array<std::uint32_t, 4>;

// One block of 128 random bits.
inline PhiloxBlock philox4x32(PhiloxBlock counter, std::array<std::uint32_t, 2> key) noexcept {
  constexpr std::uint64_t kMultiplier0 = 0xD2511F53U;
  constexpr std::uint64_t kMultiplier1 = 0xCD9E8D57U;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9U;
  constexpr std::uint32_t kWeyl1 = 0xBB67AE85U;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = kMultiplier0 * counter[0];
    const std::uint64_t p1 = kMultiplier1 * counter[2];
    counter = {
        static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(p1),
        static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(p0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

// What a draw is for; part of the counter, so that no two purposes share numbers.
enum class Purpose : std::uint32_t {
  kResetPosition = 0,
  kResetVelocity = 1,
  kAction = 2,
  kExploration = 3,
};

// The stream of one environment's episode for one purpose.
struct Stream {
  std::uint64_t seed;
  std::uint32_t env;
  std::uint32_t episode;
  Purpose purpose;

  PhiloxBlock block(std::uint32_t index) const noexcept {
    return philox4x32({index, episode, env, static_cast<std::uint32_t>(purpose)},
                      {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  }
};

// The first numbers of the stream, uniform on [0, 1), 53 bits each.
void fill_uniform(const Stream& stream, std::span<double> out) noexcept;

// The first numbers of the stream, standard normal (Box-Muller), 53 bits each.
void fill_normal(const Stream& stream, std::span<double> out) noexcept;

// The standard normal numbers of one step of the stream (Box-Muller, 24 bits: |x| < 5.8).
void fill_normal(const Stream& stream, std::uint32_t step, std::span<float> out) noexcept;

}  // namespace admrl
