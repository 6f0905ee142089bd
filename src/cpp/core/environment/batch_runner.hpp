// The scheduler of work on MuJoCo's batch of simulations (mjbatch.h): pieces, failures, polls.
//
// What a MuJoCo error does. Inside mjb_apply an error raised by mju_error ends in longjmp to the
// batch's own frame: the function that was applied is left without running any destructor, and its
// environment's state row is not saved. So a function run by mjb_apply (a `Work` and all it calls)
// may keep only trivially destructible objects on its stack, allocates nothing, throws nothing and
// takes no lock; what it writes outside its mjData stays written (Simulation puts it back).
#pragma once

#include <mujoco/mjbatch.h>
#include <mujoco/mujoco.h>

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace admrl {

// Called between pieces of bounded work; may throw to stop a long call.
using Poll = std::function<void()>;

class BatchRunner {
 public:
  // Steps [first, last) of one environment. See the top of this file for what it must not do.
  using Work = void (*)(void* context, const mjModel* m, mjData* d, int env, int first, int last);
  // An environment in which MuJoCo raised, and what it said.
  struct Failure {
    int env;
    std::string message;
  };
  using Failures = std::vector<Failure>;

  // The model, called `name` in messages, is borrowed. Raises InvalidInput with MuJoCo's message.
  BatchRunner(const mjModel* model, const std::string& name, int num_envs, int num_threads);
  ~BatchRunner();
  BatchRunner(const BatchRunner&) = delete;
  BatchRunner& operator=(const BatchRunner&) = delete;

  int num_envs() const noexcept { return num_envs_; }
  int num_threads() const noexcept { return mjb_nthread(batch_.get()); }
  int state_dim() const noexcept { return mjb_nstate(batch_.get()); }
  mjBatch* batch() const noexcept { return batch_.get(); }
  // The state row of an environment (state_dim), mjSTATE_INTEGRATION; the next one follows.
  mjtNum* state(int env) const noexcept {
    return mjb_state(batch_.get()) + std::ptrdiff_t{env} * state_dim();
  }

  // Holds the batch for one caller at a time; the calls below need it.
  // Raises WrongProcess in a forked child, which has none of the threads.
  std::unique_lock<std::mutex> lock() const;

  // Step 0 of every environment; adds to `failures`.
  void run_once(Work work, void* context, Failures& failures);
  // num_steps steps of every environment, of physics_steps calls of mj_step each, in pieces of
  // about a tenth of a second with `poll` between, whose exception passes through. The bits do not
  // depend on the pieces. An environment that fails takes no further steps.
  void run(int num_steps, int physics_steps, Work work, void* context, const Poll& poll,
           Failures& failures);
  // Raises SimulationError if there are any.
  void raise_if_failed(Failures failures) const;

  // A work calls it before mj_step, which may not return to it.
  static void before_physics() noexcept;

 private:
  struct Deleter {
    void operator()(mjBatch* b) const noexcept { mjb_deleteBatch(b); }
  };
  struct Piece;

  void apply(std::span<const int> ids, Piece piece, Failures& failures);

  int num_envs_;
  int forks_;
  std::unique_ptr<mjBatch, Deleter> batch_;
  mutable std::mutex mutex_;
  double steps_per_piece_ = 256.0;  // mj_step calls; adapted to the time that pieces take
};

}  // namespace admrl
