#include "core/environment/simulation.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/check.hpp"

namespace admrl {

Simulation::Simulation(Environment environment, int num_envs, int num_threads)
    : environment_(std::move(environment)),
      runner_(environment_.model(), environment_.options().model_path, num_envs, num_threads) {
  const mjModel* m = environment_.model();
  const auto component = [this](int which) {
    return mjb_stateComponent(runner_.batch(), which, nullptr) - runner_.state(0);
  };
  qpos_offset_ = component(mjSTATE_QPOS);
  qvel_offset_ = component(mjSTATE_QVEL);

  struct DataDeleter {
    void operator()(mjData* d) const noexcept { mj_deleteData(d); }
  };
  const std::unique_ptr<mjData, DataDeleter> data(mj_makeData(m));
  require(data != nullptr, "model: ", environment_.options().model_path,
          ": MuJoCo could not allocate its data");
  reset_row_.resize(to_size(state_dim()));
  mj_getState(m, data.get(), reset_row_.data(), mjSTATE_INTEGRATION);

  const std::size_t n = to_size(num_envs);
  obs_.resize(n * to_size(spec().obs_dim()));
  rate_scratch_.resize(n * to_size(environment_.num_rates()));
  velocity_scratch_.resize(n * to_size(m->nv));
  grad_scratch_.resize(n * to_size(spec().task_dim()));
  episodes_.resize(n);
  steps_.resize(n);
  reset(0);
}

// Writes the reset state of the environment's current episode into its state row.
void Simulation::begin_episode(int env) noexcept {
  mjtNum* row = runner_.state(env);
  std::copy(reset_row_.begin(), reset_row_.end(), row);
  environment_.begin(seed_, env, episode(env), row + qpos_offset_, row + qvel_offset_, rates(env),
                     obs_.data() + offset(env, spec().obs_dim()));
  steps_[to_size(env)] = 0;
}

void Simulation::begin_next_episode_unlocked(const mjModel* m, mjData* d, int env) noexcept {
  // The batch saves d over the row when the function returns, so the row serves as scratch here.
  ++episodes_[to_size(env)];
  begin_episode(env);
  mj_setState(m, d, runner_.state(env), mjSTATE_INTEGRATION);
}

void Simulation::begin_all(std::uint64_t seed) noexcept {
  seed_ = seed;
  std::fill(episodes_.begin(), episodes_.end(), 0U);
  for (int env = 0; env < num_envs(); ++env) begin_episode(env);
}

void Simulation::reset(std::uint64_t seed) {
  const auto held = lock();
  begin_all(seed);
}

void Simulation::reset_next(std::span<const bool> mask) {
  const auto held = lock();
  require(mask.empty() || mask.size() == to_size(num_envs()), "mask: expected (N=", num_envs(),
          ",) bool, got (", mask.size(), ",)");
  for (int env = 0; env < num_envs(); ++env) {
    if (!mask.empty() && !mask[to_size(env)]) continue;
    ++episodes_[to_size(env)];
    begin_episode(env);
  }
}

void Simulation::observations(std::span<float> out) const {
  const auto held = lock();
  std::transform(obs_.begin(), obs_.end(), out.begin(),
                 [](double x) { return static_cast<float>(x); });
}

void Simulation::states(std::span<double> out) const {
  const auto held = lock();
  std::copy_n(runner_.state(0), out.size(), out.begin());
}

void Simulation::initial_observations(std::uint64_t seed, std::span<float> out) const {
  const mjModel* m = environment_.model();
  const std::size_t obs_dim = to_size(spec().obs_dim());
  std::vector<mjtNum> qpos(to_size(m->nq)), qvel(to_size(m->nv));
  std::vector<double> rates(to_size(environment_.num_rates())), obs(obs_dim);
  for (std::size_t env = 0; env * obs_dim < out.size(); ++env) {
    environment_.begin(seed, static_cast<int>(env), 0, qpos.data(), qvel.data(), rates.data(),
                       obs.data());
    for (std::size_t i = 0; i < obs_dim; ++i) out[env * obs_dim + i] = static_cast<float>(obs[i]);
  }
}

bool Simulation::act_unlocked(const mjModel* m, mjData* d, int env, const float* action,
                              const double* psi, const StepArrays& out, std::size_t row) noexcept {
  environment_.set_action(d, action, rates(env));
  BatchRunner::before_physics();
  const bool sound =
      environment_.advance(m, d, velocity_scratch_.data() + offset(env, static_cast<int>(m->nv)));
  environment_.observe(d, rates(env), obs_.data() + offset(env, spec().obs_dim()));
  const Transition transition{.next_obs = obs(env),
                              .action = action,
                              .psi = psi,
                              .sound = sound,
                              .last = ++steps_[to_size(env)] >= horizon()};
  return record(spec(), transition, grad_scratch_.data() + offset(env, spec().task_dim()), out,
                row);
}

void Simulation::step(std::span<const float> actions, TaskParams psi, const StepArrays& out) {
  const auto held = lock();
  const std::size_t act_dim = to_size(spec().act_dim());
  for (std::size_t i = 0; i < actions.size(); ++i) {
    require(std::isfinite(actions[i]), "actions: expected finite values, got ", actions[i],
            " in environment ", i / act_dim);
  }
  struct Context {
    Simulation* sim;
    const float* actions;
    TaskParams psi;
    const StepArrays* out;
  } context{this, actions.data(), psi, &out};
  const BatchRunner::Work work = [](void* arg, const mjModel* m, mjData* d, int env, int, int) {
    const auto* c = static_cast<const Context*>(arg);
    c->sim->act_unlocked(m, d, env, c->actions + offset(env, c->sim->spec().act_dim()),
                         c->psi.row(env), *c->out, to_size(env));
  };
  BatchRunner::Failures failures;
  runner_.run_once(work, &context, failures);
  runner_.raise_if_failed(failures);
}

Simulation::Snapshot Simulation::snapshot() const {
  const mjtNum* states = runner_.state(0);
  return {{states, states + offset(num_envs(), state_dim())}, obs_, episodes_, steps_};
}

void Simulation::restore(const Snapshot& before, const BatchRunner::Failures& failures) noexcept {
  for (const auto& [env, message] : failures) {
    const std::size_t e = to_size(env);
    std::copy_n(before.states.data() + offset(env, state_dim()), state_dim(), runner_.state(env));
    const std::size_t first = offset(env, spec().obs_dim());
    std::copy_n(before.obs.data() + first, spec().obs_dim(), obs_.data() + first);
    episodes_[e] = before.episodes[e];
    steps_[e] = before.steps[e];
  }
}

void Simulation::run_unlocked(std::uint64_t seed, int num_steps, BatchRunner::Work work,
                              void* context, const Poll& poll) {
  require_at_least_one("num_steps", num_steps);
  const Snapshot before = snapshot();
  begin_all(seed);
  BatchRunner::Failures failures;
  try {
    runner_.run(num_steps, environment_.options().frame_skip, work, context, poll, failures);
  } catch (...) {
    restore(before, failures);
    throw;
  }
  restore(before, failures);
  runner_.raise_if_failed(failures);
}

}  // namespace admrl
