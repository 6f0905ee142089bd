// N environments of one family, stepped together.
#pragma once

#include <mujoco/mujoco.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "core/check.hpp"
#include "core/environment/batch_runner.hpp"
#include "core/environment/environment.hpp"
#include "core/environment/transitions.hpp"

namespace admrl {

class Simulation {
 public:
  // Resets with seed 0. Raises InvalidInput with MuJoCo's message, or for less than one environment
  // or thread.
  Simulation(Environment environment, int num_envs, int num_threads);

  const Environment& environment() const noexcept { return environment_; }
  const FamilySpec& spec() const noexcept { return environment_.spec(); }
  int num_envs() const noexcept { return runner_.num_envs(); }
  int num_threads() const noexcept { return runner_.num_threads(); }
  int horizon() const noexcept { return environment_.options().horizon; }
  int state_dim() const noexcept { return runner_.state_dim(); }

  // Starts a new random stream: every environment begins its episode 0.
  void reset(std::uint64_t seed);
  // Environments whose mask is true (empty: all) begin their next episode.
  // Raises InvalidInput if the mask has another size than N.
  void reset_next(std::span<const bool> mask);

  void observations(std::span<float> out) const;  // (N, D)
  void states(std::span<double> out) const;       // (N, state_dim), mjSTATE_INTEGRATION
  // The observations with which environments 0 .. n-1 begin after reset(seed), for any n; (n, D).
  void initial_observations(std::uint64_t seed, std::span<float> out) const;

  // One action for every environment, (N, A); nothing is reset. Row i of `out` is environment i.
  // Raises InvalidInput before any step if an action is not finite; SimulationError after the
  // others have finished if MuJoCo raised in some (they keep their state, their rows are not
  // written).
  void step(std::span<const float> actions, TaskParams psi, const StepArrays& out);

  // ---- For the loops that run inside the simulation threads (real_rollout.cpp) ----

  std::unique_lock<std::mutex> lock() const { return runner_.lock(); }

  // reset(seed), then num_steps steps of every environment (BatchRunner::run). The caller holds
  // lock().
  // Raises SimulationError as `step` does; what `poll` throws passes through and leaves the
  // environments where they are, but for those that failed, which are put back.
  void run_unlocked(std::uint64_t seed, int num_steps, BatchRunner::Work work, void* context,
                    const Poll& poll);

  // The current observation (D) of an environment, float64.
  const double* obs(int env) const noexcept { return obs_.data() + offset(env, spec().obs_dim()); }
  std::uint32_t episode(int env) const noexcept { return episodes_[to_size(env)]; }
  int step_count(int env) const noexcept { return steps_[to_size(env)]; }
  std::uint64_t seed() const noexcept { return seed_; }
  // Applies one action (A); writes row `row` of `out`; returns whether the episode ended.
  bool act_unlocked(const mjModel* m, mjData* d, int env, const float* action, const double* psi,
                    const StepArrays& out, std::size_t row) noexcept;
  void begin_next_episode_unlocked(const mjModel* m, mjData* d, int env) noexcept;

 private:
  // What an environment gets back if MuJoCo raises in it.
  struct Snapshot {
    std::vector<mjtNum> states;
    std::vector<double> obs;
    std::vector<std::uint32_t> episodes;
    std::vector<int> steps;
  };

  static std::size_t offset(int env, int size) noexcept { return to_size(env) * to_size(size); }
  double* rates(int env) noexcept {
    return rate_scratch_.data() + offset(env, environment_.num_rates());
  }

  void begin_episode(int env) noexcept;
  void begin_all(std::uint64_t seed) noexcept;
  Snapshot snapshot() const;
  void restore(const Snapshot& before, const BatchRunner::Failures& failures) noexcept;

  Environment environment_;
  BatchRunner runner_;
  std::vector<mjtNum> reset_row_;   // the state that mj_resetData leaves
  std::ptrdiff_t qpos_offset_ = 0;  // in a state row
  std::ptrdiff_t qvel_offset_ = 0;
  std::uint64_t seed_ = 0;
  std::vector<double> obs_;               // (N, D)
  std::vector<double> rate_scratch_;      // (N, number of rates)
  std::vector<double> velocity_scratch_;  // (N, nv)
  std::vector<double> grad_scratch_;      // (N, K)
  std::vector<std::uint32_t> episodes_;   // (N)
  std::vector<int> steps_;                // (N)
};

}  // namespace admrl
