// Virtual rollouts in a model that can be followed by hand, and the independence of tasks and
// threads. The comparison with torch is in Python.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "check.hpp"
#include "core/error.hpp"
#include "core/network/gaussian_policy.hpp"
#include "core/rollout/virtual_rollout.hpp"

namespace {

using namespace admrl;

constexpr int kObs = 2, kAct = 1, kEnvs = 3, kSteps = 20, kHorizon = 7, kStates = 4;

// r = -|s'_0 - psi|; an episode ends where s'_0 leaves (-2, 2).
FamilySpec family() {
  return FamilySpec(
      {.name = "line",
       .act_dim = kAct,
       .obs_blocks = {{ObsSource::kQpos, 0, 1, INFINITY}, {ObsSource::kQvel, 0, 1, INFINITY}},
       .form = RewardForm::kAbs,
       .features = {0},
       .coefficients = {1.0},
       .offset = {0.0},
       .scale = {1.0},
       .control_cost = 0.0,
       .bonus = 0.0,
       .healthy = {{{0}, -2.0, 2.0, false}}});
}

// s' = s + (clip(a), s_0 / 2), within +- 1.75 in s_1: one linear layer.
constexpr std::array<float, 6> kWeights{0, 0, 1, 0.5, 0, 0};
constexpr std::array<float, 2> kBias{0, 0}, kLow{-10, -1.75}, kHigh{10, 1.75};

VirtualModel model(ThreadPool& pool) {
  const MlpLayer layer{kWeights.data(), kBias.data(), kObs + kAct, kObs};
  return VirtualModel({&layer, 1}, kLow, kHigh, Precision::fp32, pool);
}

// The mean action is gain · s_0; sigma = 0.5.
GaussianPolicy policy(float gain) {
  const std::array<float, 2> weight{gain, 0}, mean{0, 0}, std{1, 1};
  const std::array<float, 1> bias{0}, log_std{std::log(0.5F)};
  const MlpLayer layer{weight.data(), bias.data(), kObs, kAct};
  return GaussianPolicy({&layer, 1}, log_std, mean, std);
}

// Random numbers and results of some tasks.
struct Tasks {
  explicit Tasks(std::vector<float> gains) : count(gains.size()) {
    for (std::size_t b = 0; b < count; ++b) {
      policies.push_back(policy(gains[b]));
      psi.push_back(0.25 * gains[b]);
      auto& n = noise.emplace_back();
      for (int i = 0; i < kSteps * kEnvs; ++i) n.push_back(std::sin(3.7F * static_cast<float>(i)));
      auto& s = starts.emplace_back();
      for (int i = 0; i < (kSteps + 1) * kEnvs; ++i) s.push_back((i * 7 + 1) % kStates);
    }
    for (auto* a : {&obs, &next_obs}) a->resize(count * kEnvs * kSteps * kObs);
    for (auto* a : {&actions, &rewards, &grads, &base, &log_probs}) {
      a->resize(count * kEnvs * kSteps);
    }
    dones.reset(new bool[count * kEnvs * kSteps]);
    timeouts.reset(new bool[count * kEnvs * kSteps]);
  }

  void run(int threads) {
    ThreadPool pool(threads);
    const VirtualModel dynamics = model(pool);
    std::vector<VirtualTask> tasks;
    for (std::size_t b = 0; b < count; ++b) {
      tasks.push_back({&policies[b], &psi[b], noise[b].data(), starts[b].data()});
    }
    virtual_rollout(pool, dynamics, family(), {tasks, states, kEnvs, kSteps, kHorizon},
                    {obs.data(),
                     actions.data(),
                     log_probs.data(),
                     {next_obs.data(), rewards.data(), grads.data(), base.data(), dones.get(),
                      timeouts.get(), nullptr}});
  }

  std::vector<float> states{0, 0.5, 1, -0.5, -1, 1, 0.25, 0};
  std::size_t count;
  std::vector<GaussianPolicy> policies;
  std::vector<double> psi;
  std::vector<std::vector<float>> noise;
  std::vector<std::vector<std::int64_t>> starts;
  std::vector<float> obs, actions, next_obs, rewards, grads, base, log_probs;
  std::unique_ptr<bool[]> dones, timeouts;
};

void test_by_hand() {
  Tasks t({0.5F});
  t.run(1);
  int ends = 0, timeouts = 0;
  for (int env = 0; env < kEnvs; ++env) {
    float state[2]{};
    int age = 0;
    for (int step = 0; step < kSteps; ++step) {
      const auto at = static_cast<std::size_t>(env * kSteps + step);
      if (age == 0) {
        const auto start =
            static_cast<std::size_t>(t.starts[0][static_cast<std::size_t>(step * kEnvs + env)]);
        std::copy_n(t.states.data() + start * kObs, kObs, state);
      }
      CHECK(t.obs[at * kObs] == state[0] && t.obs[at * kObs + 1] == state[1]);
      const float action =
          0.5F * state[0] + 0.5F * t.noise[0][static_cast<std::size_t>(step * kEnvs + env)];
      CHECK(std::abs(t.actions[at] - action) < 1e-6F);
      const float clipped = std::clamp(t.actions[at], -1.0F, 1.0F);
      const float next[2]{state[0] + clipped,
                          std::clamp(state[1] + 0.5F * state[0], -1.75F, 1.75F)};
      CHECK(std::abs(t.next_obs[at * kObs] - next[0]) < 1e-6F);
      CHECK(std::abs(t.next_obs[at * kObs + 1] - next[1]) < 1e-6F);
      std::copy_n(t.next_obs.data() + at * kObs, kObs, state);
      CHECK(std::abs(t.rewards[at] + std::abs(state[0] - 0.125F)) < 1e-6F);
      const bool done = std::abs(state[0]) >= 2.0F;
      CHECK(t.dones[at] == done);
      CHECK(t.timeouts[at] == (!done && age + 1 == kHorizon));
      ends += done ? 1 : 0;
      timeouts += t.timeouts[at] ? 1 : 0;
      age = done || t.timeouts[at] ? 0 : age + 1;
    }
  }
  CHECK(ends > 0 && timeouts > 0);
}

void test_other_tasks_and_threads_change_nothing() {
  Tasks many({0.5F, -0.3F, 0.9F, 0.1F});
  many.run(1);
  for (const int threads : {2, 5, 16}) {
    Tasks again({0.5F, -0.3F, 0.9F, 0.1F});
    again.run(threads);
    CHECK(again.next_obs == many.next_obs && again.rewards == many.rewards);
    CHECK(again.log_probs == many.log_probs && again.grads == many.grads);
  }
  for (const std::size_t b : {0U, 2U}) {
    Tasks alone({b == 0 ? 0.5F : 0.9F});
    alone.run(3);
    const auto first =
        many.next_obs.begin() + static_cast<std::ptrdiff_t>(b * alone.next_obs.size());
    CHECK(std::equal(alone.next_obs.begin(), alone.next_obs.end(), first));
  }
}

void test_bad_arguments() {
  Tasks t({0.5F});
  t.starts[0][5] = kStates;
  CHECK_THROWS(t.run(1), InvalidInput);
  ThreadPool pool(1);
  const MlpLayer square{kWeights.data(), kBias.data(), kObs, kObs};
  CHECK_THROWS(VirtualModel({&square, 1}, kLow, kHigh, Precision::fp32, pool), InvalidInput);
  const MlpLayer layer{kWeights.data(), kBias.data(), kObs + kAct, kObs};
  const std::span<const float> short_low(kLow.data(), 1);
  CHECK_THROWS(VirtualModel({&layer, 1}, short_low, kHigh, Precision::fp32, pool), InvalidInput);
}

}  // namespace

int main() {
  test_by_hand();
  test_other_tasks_and_threads_change_nothing();
  test_bad_arguments();
  return admrl_test::failures != 0;
}
