// The recursions on numbers that are exact in binary; the textbook comparison is in Python.
#include <array>
#include <limits>

#include "check.hpp"
#include "core/error.hpp"
#include "core/update/advantage.hpp"

using namespace admrl;

int main() {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  // Two environments of three steps: done at (0, 1), timeout at (1, 0).
  const bool dones[] = {false, true, false, false, false, false};
  const bool timeouts[] = {false, false, false, true, false, false};
  const Trajectories shape{2, 3, dones, timeouts};
  const std::array<float, 6> rewards{1, 1, 1, 1, 1, 1};
  const std::array<float, 6> values{2, 2, 2, 2, 2, 2};
  const std::array<float, 6> next_values{8, nan, 8, 8, 8, 8};
  std::array<float, 6> adv{}, returns{};

  // gamma = lambda = 1/2: delta is 1 + 4 - 2 = 3, or 1 - 2 where done; the carry is a quarter.
  advantages(shape, rewards, values, next_values, 0.5, 0.5, adv, returns);
  CHECK((adv == std::array<float, 6>{2.75f, -1, 3, 3, 3.75f, 3}));
  CHECK((returns == std::array<float, 6>{4.75f, 1, 5, 5, 5.75f, 5}));

  const std::array<float, 12> grads{1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10};
  std::array<float, 12> out{};
  reward_grad_advantages(shape, 2, grads, 0.5, 0.5, out);
  CHECK((out == std::array<float, 12>{1.25f, 12.5f, 1, 10, 1, 10, 1, 10, 1.25f, 12.5f, 1, 10}));

  // Four episodes began by the last column, three by the one before: those had a second step.
  std::array<double, 6> weights{};
  episode_weights(shape, 0.5, weights);
  CHECK((weights == std::array<double, 6>{0.25, 0.5 / 3, 0.25, 0.25, 0.25, 0.5 / 3}));

  CHECK_THROWS(advantages(shape, rewards, values, next_values, 1.5, 0.5, adv, returns),
               InvalidInput);
  CHECK_THROWS(episode_weights(shape, 1.5, weights), InvalidInput);
  const Trajectories none{0, 3, {}, {}};
  CHECK_THROWS(episode_weights(none, 0.5, {}), InvalidInput);
  return admrl_test::failures != 0;
}
