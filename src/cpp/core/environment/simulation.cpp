#include "core/environment/simulation.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/check.hpp"
#include "core/environment/joints.hpp"
#include "core/environment/random.hpp"
#include "core/threads/thread_sanitizer.hpp"

namespace admrl {

namespace {

constexpr double kPieceSeconds = 0.1;  // long calls look for Ctrl-C about this often
constexpr double kMinPieceSteps = 256.0;
constexpr double kMaxPieceSteps = 1e8;

// The addresses by which the hand-over between MuJoCo's threads is announced. Two of them: with
// one, an environment's work would seem ordered after all that was finished before it, and a race
// between environments would go unseen.
const char work_given = 0;
const char work_done = 0;

}  // namespace

// One call of mjb_apply: what every environment runs.
struct Simulation::Piece {
  EnvWork work;
  void* context;
  int first;
  int last;

  static void run(const mjModel* m, mjData* d, int env, void* arg) {
    const auto* p = static_cast<const Piece*>(arg);
    tsan_acquire(&work_given);
    p->work(p->context, m, d, env, p->first, p->last);
    tsan_release(&work_done);
  }
};

Simulation::Simulation(FamilySpec spec, const SimulationOptions& options)
    : spec_(std::move(spec)), options_(options) {
  require_at_least_one("num_envs", options.num_envs);
  require_at_least_one("num_threads", options.num_threads);
  require_at_least_one("frame_skip", options.frame_skip);
  require_at_least_one("horizon", options.horizon);
  require_not_negative("position_noise", options.position_noise);
  require_not_negative("velocity_noise", options.velocity_noise);
  LoadedModel loaded = load_model(options.model_path, options.halve_margins);
  model_ = std::move(loaded.model);
  load_warning_ = std::move(loaded.warning);
  action_seconds_ = options.frame_skip * model_->opt.timestep;
  watch_ = BlowUpWatch(model_.get());
  match_family();

  std::array<char, 1024> error{};
  // One mjData per thread: it stays in the cache of its core, and a state row is small to move.
  const mjBatchConfig config{options.num_threads, 0};
  batch_.reset(mjb_makeBatch(model_.get(), options.num_envs, &config, error.data(),
                             static_cast<int>(error.size())));
  require(batch_ != nullptr, "model: ", options.model_path, ": ", one_line(error.data()));
  qpos_offset_ = mjb_stateComponent(batch_.get(), mjSTATE_QPOS, nullptr) - mjb_state(batch_.get());
  qvel_offset_ = mjb_stateComponent(batch_.get(), mjSTATE_QVEL, nullptr) - mjb_state(batch_.get());

  const std::unique_ptr<mjData, DataDeleter> data(mj_makeData(model_.get()));
  require(data != nullptr, "model: ", options.model_path, ": MuJoCo could not allocate its data");
  reset_row_.resize(index(state_dim()));
  mj_getState(model_.get(), data.get(), reset_row_.data(), mjSTATE_INTEGRATION);

  const auto n = index(options.num_envs);
  obs_.resize(offset(options.num_envs, spec_.obs_dim()));
  rate_scratch_.resize(offset(options.num_envs, num_rates()));
  velocity_scratch_.resize(offset(options.num_envs, static_cast<int>(model_->nv)));
  grad_scratch_.resize(offset(options.num_envs, spec_.task_dim()));
  episodes_.resize(n);
  steps_.resize(n);
  reset(0);
}

void Simulation::match_family() {
  const mjModel* m = model_.get();
  const int act_dim = spec_.act_dim();
  require(m->nu == act_dim, "act_dim: expected ", m->nu, ", the actuators of ", options_.model_path,
          ", got ", act_dim);
  for (int i = 0; i < act_dim; ++i) {
    require(m->actuator_ctrllimited[i] != 0, "model: actuator ", i, " of ", options_.model_path,
            " has no ctrlrange");
    const mjtNum low = m->actuator_ctrlrange[2 * i];
    const mjtNum high = m->actuator_ctrlrange[2 * i + 1];
    control_middle_.push_back(0.5 * (low + high));
    control_half_.push_back(0.5 * (high - low));
  }
  for (const ObsBlock& block : spec_.declaration().obs_blocks) {
    const bool velocity = block.source == ObsSource::kQvel;
    const int size = static_cast<int>(velocity ? m->nv : m->nq);
    require(block.stop <= size, "obs_blocks: expected stop <= ", size, ", the size of ",
            velocity ? "qvel" : "qpos", " of ", options_.model_path, ", got ", block.stop);
    if (block.source != ObsSource::kQposRate) continue;
    for (int i = block.start; i < block.stop; ++i) {
      const int dof = dof_of(m, i);
      require(dof >= 0, "obs_blocks: qpos[", i, "] of ", options_.model_path,
              " belongs to a quaternion, which has no rate");
      rates_.push_back({i, dof});
    }
  }
}

void Simulation::draw_reset(std::uint64_t seed, int env, std::uint32_t episode, mjtNum* qpos,
                            mjtNum* qvel) const noexcept {
  const auto nq = static_cast<std::size_t>(model_->nq);
  const auto nv = static_cast<std::size_t>(model_->nv);
  const auto e = static_cast<std::uint32_t>(env);
  fill_uniform({seed, e, episode, Purpose::kResetPosition}, {qpos, nq});
  fill_normal({seed, e, episode, Purpose::kResetVelocity}, {qvel, nv});
  for (std::size_t i = 0; i < nq; ++i) {
    qpos[i] = model_->qpos0[i] + options_.position_noise * (2.0 * qpos[i] - 1.0);
  }
  obey_joints(model_.get(), options_.reset_within_limits, qpos);
  for (std::size_t i = 0; i < nv; ++i) qvel[i] *= options_.velocity_noise;
}

void Simulation::observe(const mjtNum* qpos, const mjtNum* qvel, const double* rates,
                         double* out) const noexcept {
  for (const ObsBlock& block : spec_.declaration().obs_blocks) {
    const int size = block.stop - block.start;
    const double* values = nullptr;
    switch (block.source) {
      case ObsSource::kQpos:
        values = qpos + block.start;
        break;
      case ObsSource::kQvel:
        values = qvel + block.start;
        break;
      case ObsSource::kQposRate:
        values = rates;
        rates += size;
        break;
    }
    for (int i = 0; i < size; ++i) {
      // Written so that not-a-number stays.
      const double v = values[i];
      out[i] = v > block.clip ? block.clip : (v < -block.clip ? -block.clip : v);
    }
    out += size;
  }
}

// Writes the reset state of the environment's current episode into its state row.
void Simulation::begin_episode(int env) noexcept {
  mjtNum* row = mjb_state(batch_.get()) + offset(env, state_dim());
  std::copy(reset_row_.begin(), reset_row_.end(), row);
  mjtNum* qpos = row + qpos_offset_;
  mjtNum* qvel = row + qvel_offset_;
  draw_reset(seed_, env, episode(env), qpos, qvel);
  double* rates = rate_scratch_.data() + offset(env, num_rates());
  for (std::size_t k = 0; k < rates_.size(); ++k) rates[k] = qvel[rates_[k].dof];
  observe(qpos, qvel, rates, obs_.data() + offset(env, spec_.obs_dim()));
  steps_[index(env)] = 0;
}

void Simulation::begin_next_episode_unlocked(const mjModel* m, mjData* d, int env) noexcept {
  // The batch saves d over the row when the function returns, so the row serves as scratch here.
  ++episodes_[index(env)];
  begin_episode(env);
  mj_setState(m, d, mjb_state(batch_.get()) + offset(env, state_dim()), mjSTATE_INTEGRATION);
}

void Simulation::reset(std::uint64_t seed) {
  const auto held = lock();
  seed_ = seed;
  std::fill(episodes_.begin(), episodes_.end(), 0U);
  for (int env = 0; env < num_envs(); ++env) begin_episode(env);
}

void Simulation::reset_next(std::span<const bool> mask) {
  const auto held = lock();
  require(mask.empty() || mask.size() == index(num_envs()), "mask: expected (N=", num_envs(),
          ",) bool, got (", mask.size(), ",)");
  for (int env = 0; env < num_envs(); ++env) {
    if (!mask.empty() && !mask[index(env)]) continue;
    ++episodes_[index(env)];
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
  std::copy_n(mjb_state(batch_.get()), out.size(), out.begin());
}

void Simulation::initial_observations(std::uint64_t seed, std::span<float> out) const {
  const auto obs_dim = index(spec_.obs_dim());
  std::vector<mjtNum> qpos(static_cast<std::size_t>(model_->nq));
  std::vector<mjtNum> qvel(static_cast<std::size_t>(model_->nv));
  std::vector<double> rates(rates_.size());
  std::vector<double> obs(obs_dim);
  for (std::size_t env = 0; env * obs_dim < out.size(); ++env) {
    draw_reset(seed, static_cast<int>(env), 0, qpos.data(), qvel.data());
    for (std::size_t k = 0; k < rates_.size(); ++k) rates[k] = qvel[index(rates_[k].dof)];
    observe(qpos.data(), qvel.data(), rates.data(), obs.data());
    for (std::size_t i = 0; i < obs_dim; ++i) out[env * obs_dim + i] = static_cast<float>(obs[i]);
  }
}

void Simulation::set_controls(mjData* d, const float* action) const noexcept {
  for (std::size_t i = 0; i < control_half_.size(); ++i) {
    d->ctrl[i] = control_middle_[i] + control_half_[i] * clipped_action(action[i]);
  }
}

bool Simulation::advance(const mjModel* m, mjData* d, int env) noexcept {
  double* rates = rate_scratch_.data() + offset(env, num_rates());
  for (std::size_t k = 0; k < rates_.size(); ++k) rates[k] = d->qpos[rates_[k].qpos];
  tsan_release(&work_done);  // mj_step may not return
  const bool sound =
      watch_.advance(m, d, options_.frame_skip,
                     velocity_scratch_.data() + offset(env, static_cast<int>(model_->nv)));
  ++steps_[index(env)];
  return sound;
}

void Simulation::refresh_obs(const mjData* d, int env) noexcept {
  double* rates = rate_scratch_.data() + offset(env, num_rates());
  for (std::size_t k = 0; k < rates_.size(); ++k) {
    rates[k] = (d->qpos[rates_[k].qpos] - rates[k]) / action_seconds_;
  }
  observe(d->qpos, d->qvel, rates, obs_.data() + offset(env, spec_.obs_dim()));
}

bool Simulation::act_unlocked(const mjModel* m, mjData* d, int env, const float* action,
                              const double* psi, const StepArrays& out, std::size_t row) noexcept {
  set_controls(d, action);
  const bool sound = advance(m, d, env);
  refresh_obs(d, env);
  const Transition transition{obs(env), action, psi, sound, steps_[index(env)] >= options_.horizon};
  return record(spec_, transition, grad_scratch_.data() + offset(env, spec_.task_dim()), out, row);
}

void Simulation::step(std::span<const float> actions, TaskParams psi, const StepArrays& out) {
  const auto held = lock();
  const auto bad =
      std::find_if_not(actions.begin(), actions.end(), [](float a) { return std::isfinite(a); });
  if (bad != actions.end()) {
    const auto env = index(static_cast<int>(bad - actions.begin())) / control_half_.size();
    throw InvalidInput("actions: expected finite values, got " + std::to_string(*bad) +
                       " in environment " + std::to_string(env));
  }
  struct Context {
    Simulation* sim;
    const float* actions;
    TaskParams psi;
    const StepArrays* out;
  } context{this, actions.data(), psi, &out};
  const EnvWork work = [](void* arg, const mjModel* m, mjData* d, int env, int, int) {
    const auto* c = static_cast<const Context*>(arg);
    c->sim->act_unlocked(m, d, env, c->actions + offset(env, c->sim->spec_.act_dim()),
                         c->psi.row(env), *c->out, index(env));
  };
  Piece piece{work, &context, 0, 1};
  std::vector<int> ids(index(num_envs()));
  std::iota(ids.begin(), ids.end(), 0);
  std::vector<Failure> failures;
  apply(ids, piece, failures);
  raise_if_failed(failures);
}

void Simulation::apply(std::span<const int> ids, Piece& piece, std::vector<Failure>& failures) {
  tsan_release(&work_given);
  const int failed =
      mjb_apply(batch_.get(), ids.data(), static_cast<int>(ids.size()), &Piece::run, &piece, 1);
  tsan_acquire(&work_done);
  if (failed == 0) return;
  const int* status = mjb_status(batch_.get());
  for (const int env : ids) {
    if (status[env] != 0) failures.push_back({env, one_line(mjb_error(batch_.get(), env))});
  }
}

void Simulation::raise_if_failed(std::vector<Failure>& failures) const {
  if (failures.empty()) return;
  std::sort(failures.begin(), failures.end(),
            [](const Failure& a, const Failure& b) { return a.env < b.env; });
  std::vector<int> ids;
  std::string named;
  for (const Failure& f : failures) {
    if (ids.size() < 5) named += (ids.empty() ? "" : ", ") + std::to_string(f.env);
    if (ids.size() == 5) named += ", ...";
    ids.push_back(f.env);
  }
  const std::string message = "MuJoCo raised an error in " + std::to_string(ids.size()) + " of " +
                              std::to_string(num_envs()) + " environments (" + named +
                              "), which kept the state they had before the call; environment " +
                              std::to_string(ids.front()) + ": " + failures.front().message;
  throw SimulationError(std::move(ids), message);
}

Simulation::Snapshot Simulation::snapshot() const {
  const mjtNum* states = mjb_state(batch_.get());
  return {{states, states + offset(num_envs(), state_dim())}, obs_, episodes_, steps_};
}

void Simulation::restore(const Snapshot& before, int env) noexcept {
  const auto copy_row = [env](const auto* from, auto* to, int size) {
    std::copy_n(from + offset(env, size), size, to + offset(env, size));
  };
  copy_row(before.states.data(), mjb_state(batch_.get()), state_dim());
  copy_row(before.obs.data(), obs_.data(), spec_.obs_dim());
  episodes_[index(env)] = before.episodes[index(env)];
  steps_[index(env)] = before.steps[index(env)];
}

Simulation::~Simulation() {
  // In a forked child its threads are not there to be waited for: it is given up.
  if (num_threads() > 1 && forks_ != num_forks()) (void)batch_.release();
}

std::unique_lock<std::mutex> Simulation::lock() const {
  if (num_threads() > 1 && forks_ != num_forks()) {
    throw WrongProcess("simulation");  // another thread may have held the mutex
  }
  return std::unique_lock(mutex_);
}

void Simulation::run_unlocked(std::uint64_t seed, int num_steps, EnvWork work, void* context,
                              const Poll& poll) {
  require_at_least_one("num_steps", num_steps);
  const Snapshot before = snapshot();
  seed_ = seed;
  std::fill(episodes_.begin(), episodes_.end(), 0U);
  for (int env = 0; env < num_envs(); ++env) begin_episode(env);

  std::vector<Failure> failures;
  std::vector<int> ids;
  const auto pieces_of = [this](double per_env) {
    return static_cast<int>(
        std::clamp(steps_per_piece_ / per_env / options_.frame_skip, 1.0, kMaxPieceSteps));
  };
  // Some environments at a time for many steps: a state is loaded and saved once a piece.
  const int at_least = 64 * num_threads();
  for (int begin = 0; begin < num_envs();) {
    const int left = num_envs() - begin;
    const int groups = 1 + (left - 1) / std::max(at_least, pieces_of(num_steps));
    const int group = 1 + (left - 1) / groups;
    ids.resize(index(group));
    std::iota(ids.begin(), ids.end(), begin);
    for (int first = 0; first < num_steps && !ids.empty();) {
      const int count = std::min(num_steps - first, pieces_of(static_cast<double>(ids.size())));
      Piece piece{work, context, first, first + count};
      const auto start = std::chrono::steady_clock::now();
      const std::size_t failed = failures.size();
      apply(ids, piece, failures);
      const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
      for (std::size_t f = failed; f < failures.size(); ++f) std::erase(ids, failures[f].env);
      first += count;
      steps_per_piece_ =
          std::clamp(static_cast<double>(group) * count * options_.frame_skip *
                         std::clamp(kPieceSeconds / std::max(elapsed.count(), 1e-9), 0.1, 4.0),
                     kMinPieceSteps, kMaxPieceSteps);
      if (!poll) continue;
      try {
        poll();
      } catch (...) {
        for (const Failure& f : failures) restore(before, f.env);
        throw;
      }
    }
    begin += group;
  }
  for (const Failure& f : failures) restore(before, f.env);
  raise_if_failed(failures);
}

void Simulation::raw_steps(int num_steps, std::uint64_t seed, const Poll& poll) {
  const auto held = lock();
  const EnvWork work = [](void* arg, const mjModel* m, mjData* d, int env, int first, int last) {
    auto* sim = static_cast<Simulation*>(arg);
    if (first == 0) {
      const auto act_dim = sim->control_half_.size();
      fill_uniform({sim->seed_, static_cast<std::uint32_t>(env), 0, Purpose::kControl},
                   {d->ctrl, act_dim});
      for (std::size_t i = 0; i < act_dim; ++i) {
        d->ctrl[i] = sim->control_middle_[i] + sim->control_half_[i] * (2.0 * d->ctrl[i] - 1.0);
      }
    }
    for (int t = first; t < last; ++t) sim->advance(m, d, env);
    sim->refresh_obs(d, env);
  };
  run_unlocked(seed, num_steps, work, this, poll);
}

void Simulation::raw_replay(int num_steps, std::uint64_t seed, std::span<const float> actions,
                            std::span<const bool> ends, const Poll& poll) {
  const auto held = lock();
  struct Context {
    Simulation* sim;
    const float* actions;
    const bool* ends;
    int num_steps;
  } context{this, actions.data(), ends.data(), num_steps};
  const EnvWork work = [](void* arg, const mjModel* m, mjData* d, int env, int first, int last) {
    const auto* c = static_cast<const Context*>(arg);
    bool began = false;
    for (int t = first; t < last; ++t) {
      const std::size_t row = offset(env, c->num_steps) + index(t);
      c->sim->set_controls(d, c->actions + row * c->sim->control_half_.size());
      c->sim->advance(m, d, env);
      began = c->ends[row];
      if (began) c->sim->begin_next_episode_unlocked(m, d, env);
    }
    if (!began) c->sim->refresh_obs(d, env);
  };
  run_unlocked(seed, num_steps, work, &context, poll);
}

}  // namespace admrl
