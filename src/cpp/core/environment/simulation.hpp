// N environments of one family, stepped on MuJoCo's batch of simulations (mjbatch.h).
//
// What a MuJoCo error does. Inside mjb_apply an error raised by mju_error ends in longjmp to the
// batch's own frame: the function that was applied is left without running any destructor, and its
// environment's state row is not saved. So a function run by mjb_apply (an `EnvWork` and all it
// calls) may keep only trivially destructible objects on its stack, allocates nothing, throws
// nothing and takes no lock; what it writes outside its mjData stays written (run_unlocked restores
// it).
#pragma once

#include <mujoco/mjbatch.h>
#include <mujoco/mujoco.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/environment/blow_up.hpp"
#include "core/environment/model_loading.hpp"
#include "core/environment/transitions.hpp"
#include "core/threads/process.hpp"

namespace admrl {

struct SimulationOptions {
  std::string model_path;  // MuJoCo XML
  int num_envs;
  int num_threads;           // including the caller's
  int frame_skip;            // mj_step calls per action
  int horizon;               // steps after which an episode times out
  bool halve_margins;        // halve every geom's margin on load
  bool reset_within_limits;  // noise at reset does not leave the range of a limited joint
  double position_noise;     // half width of the uniform noise on qpos at reset
  double velocity_noise;     // standard deviation of the normal noise on qvel at reset
};

// Called between pieces of bounded work; may throw to stop a long call.
using Poll = std::function<void()>;

class Simulation {
 public:
  // Loads the model and resets with seed 0.
  // Raises InvalidInput: an option out of range, MuJoCo's own message if the XML does not load, or
  // a family that does not fit the model.
  Simulation(FamilySpec spec, const SimulationOptions& options);
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  const FamilySpec& spec() const noexcept { return spec_; }
  int num_envs() const noexcept { return options_.num_envs; }
  int num_threads() const noexcept { return mjb_nthread(batch_.get()); }
  int horizon() const noexcept { return options_.horizon; }
  int state_dim() const noexcept { return mjb_nstate(batch_.get()); }
  const std::string& load_warning() const noexcept { return load_warning_; }  // MuJoCo's, or ""
  double timestep() const noexcept { return action_seconds_; }                // of one action, s

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

  // The limit for benchmarks: mj_step alone, `num_steps` actions long, under controls that are
  // drawn once per environment and held.
  void raw_steps(int num_steps, std::uint64_t seed, const Poll& poll);
  // The same for the actions (N, T, A) and episode ends (N, T) of a rollout from `seed`: exactly
  // its physics, without policy, observation and reward.
  void raw_replay(int num_steps, std::uint64_t seed, std::span<const float> actions,
                  std::span<const bool> ends, const Poll& poll);

  // ---- For the loops that run inside the simulation threads (real_rollout.cpp) ----

  // Steps [first, last) of one environment. See the top of this file for what it must not do.
  using EnvWork = void (*)(void* context, const mjModel* m, mjData* d, int env, int first,
                           int last);

  // Holds the simulation for one caller at a time.
  // Raises WrongProcess in a forked child, which has none of the threads.
  std::unique_lock<std::mutex> lock() const;

  // reset(seed), then num_steps steps of every environment in pieces of about a tenth of a second,
  // with `poll` between. The bits do not depend on the pieces. The caller holds lock().
  // Raises SimulationError as `step` does; what `poll` throws passes through and leaves the
  // environments where they are, but for those that failed, which are put back.
  void run_unlocked(std::uint64_t seed, int num_steps, EnvWork work, void* context,
                    const Poll& poll);

  // The current observation (D) of an environment, float64.
  const double* obs(int env) const noexcept { return obs_.data() + offset(env, spec_.obs_dim()); }
  std::uint32_t episode(int env) const noexcept { return episodes_[index(env)]; }
  int step_count(int env) const noexcept { return steps_[index(env)]; }
  std::uint64_t seed() const noexcept { return seed_; }
  // Applies one action (A); writes row `row` of `out`; returns whether the episode ended.
  bool act_unlocked(const mjModel* m, mjData* d, int env, const float* action, const double* psi,
                    const StepArrays& out, std::size_t row) noexcept;
  void begin_next_episode_unlocked(const mjModel* m, mjData* d, int env) noexcept;

 private:
  struct DataDeleter {
    void operator()(mjData* d) const noexcept { mj_deleteData(d); }
  };
  struct BatchDeleter {
    void operator()(mjBatch* b) const noexcept { mjb_deleteBatch(b); }
  };
  // An entry of the observation that is a rate of qpos.
  struct Rate {
    int qpos;
    int dof;
  };
  // What an environment gets back if MuJoCo raises in it.
  struct Snapshot {
    std::vector<mjtNum> states;
    std::vector<double> obs;
    std::vector<std::uint32_t> episodes;
    std::vector<int> steps;
  };
  struct Failure {
    int env;
    std::string message;
  };
  struct Piece;

  static std::size_t index(int env) noexcept { return static_cast<std::size_t>(env); }
  static std::size_t offset(int env, int size) noexcept {
    return static_cast<std::size_t>(env) * static_cast<std::size_t>(size);
  }
  int num_rates() const noexcept { return static_cast<int>(rates_.size()); }

  void match_family();
  void begin_episode(int env) noexcept;
  void draw_reset(std::uint64_t seed, int env, std::uint32_t episode, mjtNum* qpos,
                  mjtNum* qvel) const noexcept;
  void observe(const mjtNum* qpos, const mjtNum* qvel, const double* rates,
               double* out) const noexcept;
  void set_controls(mjData* d, const float* action) const noexcept;
  bool advance(const mjModel* m, mjData* d, int env) noexcept;  // whether the state is sound
  void refresh_obs(const mjData* d, int env) noexcept;
  Snapshot snapshot() const;
  void restore(const Snapshot& before, int env) noexcept;
  void apply(std::span<const int> ids, Piece& piece, std::vector<Failure>& failures);
  void raise_if_failed(std::vector<Failure>& failures) const;

  FamilySpec spec_;
  SimulationOptions options_;
  std::unique_ptr<mjModel, ModelDeleter> model_;
  std::unique_ptr<mjBatch, BatchDeleter> batch_;
  std::string load_warning_;
  BlowUpWatch watch_;
  double action_seconds_ = 0.0;
  std::vector<mjtNum> reset_row_;   // the state that mj_resetData leaves
  std::ptrdiff_t qpos_offset_ = 0;  // in a state row
  std::ptrdiff_t qvel_offset_ = 0;
  std::vector<double> control_middle_;  // (A)
  std::vector<double> control_half_;    // (A)
  std::vector<Rate> rates_;

  mutable std::mutex mutex_;
  int forks_ = num_forks();
  std::uint64_t seed_ = 0;
  std::vector<double> obs_;               // (N, D)
  std::vector<double> rate_scratch_;      // (N, number of rates)
  std::vector<double> velocity_scratch_;  // (N, nv)
  std::vector<double> grad_scratch_;      // (N, K)
  std::vector<std::uint32_t> episodes_;   // (N)
  std::vector<int> steps_;                // (N)
  double steps_per_piece_ = 256.0;        // mj_step calls; adapted to the time that pieces take
};

}  // namespace admrl
