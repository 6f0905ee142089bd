#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "check.hpp"
#include "core/environment/random.hpp"

using admrl::fill_normal;
using admrl::fill_uniform;
using admrl::Purpose;
using admrl::Stream;

namespace {

// The known answers of the authors' Random123 library for philox4x32-10.
void test_known_answers() {
  using admrl::philox4x32;
  using admrl::PhiloxBlock;
  constexpr std::uint32_t k1s = 0xffffffffU;
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) ==
        PhiloxBlock{0x6627e8d5U, 0xe169c58dU, 0xbc57ac4cU, 0x9b00dbd8U});
  CHECK(philox4x32({k1s, k1s, k1s, k1s}, {k1s, k1s}) ==
        PhiloxBlock{0x408f276dU, 0x41c83b0eU, 0xa20bc7c6U, 0x6d5451fdU});
  CHECK(philox4x32({0x243f6a88U, 0x85a308d3U, 0x13198a2eU, 0x03707344U},
                   {0xa4093822U, 0x299f31d0U}) ==
        PhiloxBlock{0xd16cfe09U, 0x94fdccebU, 0x5001e420U, 0x24126ea1U});
}

// Every part of the key and of the counter changes the block.
void test_every_coordinate_counts() {
  const Stream s{7, 1, 2, Purpose::kAction};
  const auto block = s.block(3);
  CHECK(block == s.block(3));
  CHECK(block != s.block(4));
  CHECK(block != Stream{8, 1, 2, Purpose::kAction}.block(3));
  CHECK(block != Stream{7 + (1ULL << 32), 1, 2, Purpose::kAction}.block(3));
  CHECK(block != Stream{7, 2, 2, Purpose::kAction}.block(3));
  CHECK(block != Stream{7, 1, 3, Purpose::kAction}.block(3));
  CHECK(block != Stream{7, 1, 2, Purpose::kExploration}.block(3));
}

// Mean and variance of n independent numbers within five standard errors of what they should be.
template <class T>
void check_moments(const std::vector<T>& x, double mean, double variance, double fourth_moment) {
  const auto n = static_cast<double>(x.size());
  double sum = 0.0;
  double squares = 0.0;
  for (const T v : x) {
    const double d = static_cast<double>(v) - mean;
    sum += d;
    squares += d * d;
  }
  CHECK(std::abs(sum / n) < 5.0 * std::sqrt(variance / n));
  CHECK(std::abs(squares / n - variance) <
        5.0 * std::sqrt((fourth_moment - variance * variance) / n));
}

void test_distributions() {
  std::vector<double> x(100001);  // odd: the last pair is cut
  fill_uniform({1, 2, 3, Purpose::kResetPosition}, x);
  CHECK(std::all_of(x.begin(), x.end(), [](double v) { return v >= 0.0 && v < 1.0; }));
  check_moments(x, 0.5, 1.0 / 12.0, 1.0 / 80.0);
  fill_normal({1, 2, 3, Purpose::kResetVelocity}, x);
  check_moments(x, 0.0, 1.0, 3.0);

  std::vector<float> y;
  std::vector<float> step(7);
  for (std::uint32_t t = 0; t < 20000; ++t) {
    fill_normal(Stream{1, 2, 3, Purpose::kAction}, t, step);
    y.insert(y.end(), step.begin(), step.end());
  }
  CHECK(std::all_of(y.begin(), y.end(), [](float v) { return std::abs(v) < 5.8F; }));
  check_moments(y, 0.0, 1.0, 3.0);
}

// A longer request begins with the shorter one's numbers; steps do not overlap.
void test_steps() {
  const Stream s{1, 0, 0, Purpose::kAction};
  std::vector<float> five(5);
  std::vector<float> six(6);
  fill_normal(s, 0, five);
  fill_normal(s, 0, six);
  CHECK(std::equal(five.begin(), five.end(), six.begin()));
  fill_normal(s, 1, six);
  CHECK(std::find(six.begin(), six.end(), five[0]) == six.end());
}

}  // namespace

int main() {
  return admrl_test::run([] {
    test_known_answers();
    test_every_coordinate_counts();
    test_distributions();
    test_steps();
  });
}
