// The simulation against a plain mj_step loop, and what happens when MuJoCo raises.
#include <mujoco/mujoco.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/environment/simulation.hpp"
#include "core/error.hpp"
#include "core/network/gaussian_policy.hpp"
#include "core/network/squashed_policy.hpp"
#include "core/rollout/real_rollout.hpp"

using namespace admrl;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kObsDim = 35;
constexpr int kActDim = 8;
constexpr int kTaskDim = 2;

std::string model_path(const char* file) {
  const char* assets = std::getenv("ADMRL_ASSETS");
  if (assets == nullptr)
    throw std::runtime_error("ADMRL_ASSETS: expected gymnasium's assets directory");
  return std::string(assets) + "/" + file;
}

FamilySpec ant() {
  return FamilySpec({.name = "Ant2D",
                     .act_dim = kActDim,
                     .obs_blocks = {{ObsSource::kQpos, 0, 15, kInfinity},
                                    {ObsSource::kQvel, 0, 14, kInfinity},
                                    {ObsSource::kQpos, 0, 3, kInfinity},
                                    {ObsSource::kQposRate, 0, 3, kInfinity}},
                     .form = RewardForm::kAbs,
                     .features = {32, 33},
                     .coefficients = {1.0, 1.0},
                     .offset = {0.0, 0.0},
                     .scale = {1.0, 1.0},
                     .control_cost = 0.005,
                     .bonus = 5.05,
                     .healthy = {{{2}, 0.2, 1.0, true}}});
}

struct Options {
  EnvironmentOptions environment;
  int num_envs, num_threads;
};

Options options(int num_envs, int num_threads, int frame_skip = 1) {
  return {.environment = {.model_path = model_path("ant.xml"),
                          .frame_skip = frame_skip,
                          .horizon = 20,
                          .halve_margins = true,
                          .reset_within_limits = false,
                          .position_noise = 0.1,
                          .velocity_noise = 0.1},
          .num_envs = num_envs,
          .num_threads = num_threads};
}

Simulation simulation(const Options& o) {
  return {Environment(ant(), o.environment), o.num_envs, o.num_threads};
}

// vector<bool> has no bool*.
struct Flags {
  explicit Flags(std::size_t n) : data(new bool[n]()) {}
  std::unique_ptr<bool[]> data;
};

struct Output {
  explicit Output(std::size_t rows)
      : obs(rows * kObsDim),
        actions(rows * kActDim),
        log_probs(rows),
        next_obs(rows * kObsDim),
        rewards(rows),
        grads(rows * kTaskDim),
        base(rows),
        dones(rows),
        timeouts(rows),
        excluded(rows) {}
  StepArrays steps() {
    return {next_obs.data(),  rewards.data(),      grads.data(),       base.data(),
            dones.data.get(), timeouts.data.get(), excluded.data.get()};
  }
  RolloutArrays rollout() { return {obs.data(), actions.data(), log_probs.data(), steps()}; }

  std::vector<float> obs, actions, log_probs, next_obs, rewards, grads, base;
  Flags dones, timeouts, excluded;
};

// Small weights that differ from one another.
struct Weights {
  Weights()
      : weight(std::size_t{kActDim} * kObsDim),
        bias(kActDim, 0.1F),
        log_std(kActDim, -0.5F),
        mean(kObsDim, 0.05F),
        std(kObsDim, 2.0F) {
    for (std::size_t i = 0; i < weight.size(); ++i) {
      weight[i] = 0.2F * std::sin(static_cast<float>(i));
    }
  }
  GaussianPolicy pack() const {
    const std::array<MlpLayer, 1> layers{{{weight.data(), bias.data(), kObsDim, kActDim}}};
    return GaussianPolicy(layers, log_std, mean, std);
  }
  std::vector<float> weight, bias, log_std, mean, std;
};

const std::array<double, kTaskDim> kPsi{0.5, -0.25};
const TaskParams kTask{kPsi.data(), 0};

Output roll(Simulation& s, int num_steps, std::uint64_t seed, const Poll& poll = {}) {
  Output out(static_cast<std::size_t>(s.num_envs()) * static_cast<std::size_t>(num_steps));
  const RolloutRequest request{num_steps, seed, kTask, 0.15, 0.3, false, {}, {}, 0};
  const GaussianPolicy policy = Weights().pack();
  const std::array<const Policy*, 1> policies{&policy};
  real_rollout(s, policies, request, out.rollout(), poll);
  return out;
}

std::vector<double> states(const Simulation& s) {
  std::vector<double> x(static_cast<std::size_t>(s.num_envs()) *
                        static_cast<std::size_t>(s.state_dim()));
  s.states(x);
  return x;
}

// One environment's observations and rewards from MuJoCo alone, exactly.
void test_against_mj_step(int frame_skip) {
  Simulation s = simulation(options(3, 2, frame_skip));
  s.reset(11);
  constexpr int kEnv = 1;
  char error[1000] = "";
  mjModel* m = mj_loadXML(model_path("ant.xml").c_str(), nullptr, error, sizeof(error));
  for (int g = 0; g < static_cast<int>(m->ngeom); ++g) m->geom_margin[g] *= 0.5;
  mjData* d = mj_makeData(m);
  mj_setState(m, d, states(s).data() + kEnv * s.state_dim(), mjSTATE_INTEGRATION);

  Output out(3);
  std::vector<float> actions(3 * kActDim);
  for (int t = 0; t < 30; ++t) {
    for (std::size_t i = 0; i < actions.size(); ++i) {
      actions[i] = 1.5F * std::sin(static_cast<float>(i) + 7.0F * static_cast<float>(t));
    }
    s.step(actions, kTask, out.steps());
    const float* action_of_env = actions.data() + kEnv * kActDim;
    double cost = 0.0;
    for (int i = 0; i < kActDim; ++i) {
      const double a = action_of_env[i];
      d->ctrl[i] = a < -1.0 ? -1.0 : (a > 1.0 ? 1.0 : a);
      cost += d->ctrl[i] * d->ctrl[i];
    }
    const double x = d->qpos[0];
    const double y = d->qpos[1];
    for (int k = 0; k < frame_skip; ++k) mj_step(m, d);
    const double dt = frame_skip * m->opt.timestep;
    const double vx = (d->qpos[0] - x) / dt;
    const double vy = (d->qpos[1] - y) / dt;
    const float* next_obs = out.next_obs.data() + kEnv * kObsDim;
    for (int i = 0; i < 15; ++i) CHECK(next_obs[i] == static_cast<float>(d->qpos[i]));
    for (int i = 0; i < 14; ++i) CHECK(next_obs[15 + i] == static_cast<float>(d->qvel[i]));
    CHECK(next_obs[29] == static_cast<float>(d->qpos[0]));
    CHECK(next_obs[32] == static_cast<float>(vx) && next_obs[33] == static_cast<float>(vy));
    const double base = -0.005 * cost + 5.05;
    CHECK(out.rewards[kEnv] ==
          static_cast<float>(-std::abs(vx - kPsi[0]) - std::abs(vy - kPsi[1]) + base));
    CHECK(out.base[kEnv] == static_cast<float>(base));
    const bool done = d->qpos[2] < 0.2 || d->qpos[2] > 1.0;
    CHECK(out.dones.data[kEnv] == done);
    CHECK(out.timeouts.data[kEnv] == (t + 1 >= 20 && !done));
  }
  mj_deleteData(d);
  mj_deleteModel(m);
}

// The bits of a rollout depend on the seed alone.
void test_rollout_bits() {
  Simulation one = simulation(options(7, 1));
  const Output a = roll(one, 50, 3);
  for (const int threads : {2, 3}) {
    Simulation s = simulation(options(7, threads));
    roll(s, 13, 99);  // what happened before must not matter
    const Output b = roll(s, 50, 3);
    CHECK(a.obs == b.obs && a.actions == b.actions && a.log_probs == b.log_probs);
    CHECK(a.next_obs == b.next_obs && a.rewards == b.rewards && a.grads == b.grads);
    CHECK(states(one) == states(s));
  }
  CHECK(roll(one, 50, 4).obs != a.obs);
}

// Squashed policies of two sizes, two contexts for each environment: the bits at any number of
// threads, and what the environments read of one another (the sanitizers watch): nothing.
void test_many_policies() {
  constexpr int kContextDim = 2, kEnvs = 7, kSteps = 50;
  std::vector<SquashedGaussianPolicy> policies;
  for (const int hidden : {5, 40}) {
    const auto h = static_cast<std::size_t>(hidden);
    std::vector<float> first(h * (kObsDim + kContextDim)), last(h * 2 * kActDim);
    for (std::size_t i = 0; i < first.size(); ++i) {
      first[i] = 0.2F * std::sin(static_cast<float>(i));
    }
    for (std::size_t i = 0; i < last.size(); ++i) last[i] = 0.2F * std::cos(static_cast<float>(i));
    const std::vector<float> bias(h + 2 * kActDim, 0.1F);
    const std::array<MlpLayer, 2> layers{
        {{first.data(), bias.data(), kObsDim + kContextDim, hidden},
         {last.data(), bias.data(), hidden, 2 * kActDim}}};
    const std::vector<float> mean(kObsDim + kContextDim, 0.05F), std(mean.size(), 2.0F);
    policies.emplace_back(layers, mean, std, -5.0F, 0.5F);
  }
  const std::vector<std::int32_t> policy_of_env{0, 1, 1, 0, 1, 0, 0};
  std::vector<float> contexts(kEnvs * kContextDim);
  for (std::size_t i = 0; i < contexts.size(); ++i) contexts[i] = static_cast<float>(i) - 6.0F;

  const auto roll_many = [&](int threads, std::span<const float> c) {
    Simulation s = simulation(options(kEnvs, threads));
    Output out(kEnvs * kSteps);
    const RolloutRequest request{kSteps, 3, kTask, 0.0, 0.0, false, policy_of_env, c, kContextDim};
    const std::array<const Policy*, 2> pointers{&policies[0], &policies[1]};
    real_rollout(s, pointers, request, out.rollout(), {});
    return out;
  };
  const Output a = roll_many(1, contexts);
  for (const int threads : {2, 3}) {
    const Output b = roll_many(threads, contexts);
    CHECK(a.obs == b.obs && a.actions == b.actions && a.log_probs == b.log_probs);
  }
  // Another context of environment 4 changes environment 4 and nothing else.
  std::vector<float> others = contexts;
  others[4 * kContextDim + 1] += 0.5F;
  const Output b = roll_many(2, others);
  for (int env = 0; env < kEnvs; ++env) {
    const auto begin = a.actions.begin() + static_cast<std::ptrdiff_t>(env) * kSteps * kActDim;
    const bool same = std::equal(begin, begin + kSteps * kActDim,
                                 b.actions.begin() + (begin - a.actions.begin()));
    CHECK(same == (env != 4));
  }
}

void test_poll_stops_a_rollout() {
  struct Stop : std::exception {};
  Simulation s = simulation(options(4, 2));
  int polls = 0;
  bool stopped = false;
  try {
    roll(s, 20000, 0, [&polls] {
      if (++polls == 3) throw Stop{};
    });
  } catch (const Stop&) {
    stopped = true;
  }
  CHECK(stopped && polls == 3);
  CHECK(roll(s, 5, 3).obs == roll(s, 5, 3).obs);  // it is usable afterwards
}

// MuJoCo's own callback, called by mj_step in the simulation threads: a real error inside a step.
void raise_on_large_control(const mjModel*, mjData* d) {
  if (d->ctrl[0] > 0.9) mju_error("control callback: %s", "refused");
}

void test_failure_contract() {
  Simulation s = simulation(options(6, 2));
  s.reset(5);
  const std::vector<double> before = states(s);
  std::vector<float> actions(6 * kActDim, 0.1F);
  for (const std::size_t env : {1U, 4U}) actions[env * kActDim] = 1.0F;
  Output out(6);
  std::vector<int> failed;
  mjcb_control = &raise_on_large_control;
  try {
    s.step(actions, kTask, out.steps());
  } catch (const SimulationError& e) {
    failed = e.env_ids;
    CHECK(std::string(e.what()) ==
          "MuJoCo raised an error in 2 of 6 environments (1, 4), which kept the state they had "
          "before "
          "the call; environment 1: control callback: refused");
  }
  mjcb_control = nullptr;
  CHECK(failed == std::vector<int>{1, 4});
  const std::vector<double> after = states(s);
  const auto row = static_cast<std::size_t>(s.state_dim());
  for (std::size_t env = 0; env < 6; ++env) {
    const auto at = static_cast<std::ptrdiff_t>(env * row);
    const bool kept =
        std::equal(before.begin() + at, before.begin() + at + s.state_dim(), after.begin() + at);
    CHECK(kept == (env == 1 || env == 4));
    CHECK(s.step_count(static_cast<int>(env)) == (kept ? 0 : 1));
  }

  // The batch is as good as new: all six go on, as a fresh simulation would from there.
  actions.assign(actions.size(), 0.1F);
  s.reset(5);
  s.step(actions, kTask, out.steps());
  Simulation fresh = simulation(options(6, 1));
  fresh.reset(5);
  Output expected(6);
  fresh.step(actions, kTask, expected.steps());
  CHECK(out.next_obs == expected.next_obs);
}

void test_failure_in_a_rollout() {
  Simulation s = simulation(options(6, 2));
  s.reset(5);
  const std::vector<double> before = states(s);
  std::vector<float> observations(6 * kObsDim);
  s.observations(observations);
  std::vector<int> failed;
  mjcb_control = &raise_on_large_control;
  try {
    roll(s, 40, 8);
  } catch (const SimulationError& e) {
    failed = e.env_ids;
  }
  mjcb_control = nullptr;
  CHECK(!failed.empty());  // normal actions exceed 0.9 sooner or later
  const std::vector<double> after = states(s);
  std::vector<float> kept(6 * kObsDim);
  s.observations(kept);
  for (const int env : failed) {
    const auto at = static_cast<std::ptrdiff_t>(env) * s.state_dim();
    CHECK(std::equal(before.begin() + at, before.begin() + at + s.state_dim(), after.begin() + at));
    const auto o = static_cast<std::ptrdiff_t>(env) * kObsDim;
    CHECK(
        std::equal(observations.begin() + o, observations.begin() + o + kObsDim, kept.begin() + o));
  }
}

// A control that MuJoCo's callback turns into a force beyond all measure.
void push_beyond_measure(const mjModel* m, mjData* d) {
  if (d->ctrl[0] <= 0.9) return;
  for (int i = 0; i < static_cast<int>(m->nv); ++i) d->qfrc_applied[i] = 1e12;
}

// A state that blew up ends its episode, says nothing, and leaves no trace in what comes after.
void test_blow_up() {
  for (const int threads : {1, 2}) {
    Simulation s = simulation(options(6, threads, 3));
    s.reset(5);
    std::vector<float> actions(6 * kActDim, 0.1F);
    for (const std::size_t env : {1U, 4U}) actions[env * kActDim] = 1.0F;
    Output out(6);
    mjcb_control = &push_beyond_measure;
    s.step(actions, kTask, out.steps());
    mjcb_control = nullptr;
    Flags again(6);
    for (std::size_t env = 0; env < 6; ++env) {
      const bool blew_up = env == 1 || env == 4;
      CHECK(out.excluded.data[env] == blew_up);
      if (!blew_up) continue;
      CHECK(out.dones.data[env] && !out.timeouts.data[env]);
      CHECK(out.rewards[env] == 0.0F && out.base[env] == 0.0F && out.grads[env * kTaskDim] == 0.0F);
      again.data[env] = true;
    }
    s.reset_next({again.data.get(), 6});

    Simulation fresh = simulation(options(6, 1, 3));
    fresh.reset(5);
    actions.assign(actions.size(), 0.1F);
    Output expected(6);
    fresh.step(actions, kTask, expected.steps());
    fresh.reset_next({again.data.get(), 6});
    CHECK(states(s) == states(fresh));
    for (int t = 0; t < 5; ++t) {
      s.step(actions, kTask, out.steps());
      fresh.step(actions, kTask, expected.steps());
      CHECK(out.next_obs == expected.next_obs && out.rewards == expected.rewards);
    }
  }
}

// Unit quaternions always; limits where they are asked for (the ant's ankles begin beyond theirs).
void test_resets() {
  for (const bool within : {false, true}) {
    Options o = options(20, 1);
    o.environment.reset_within_limits = within;
    Simulation s = simulation(o);
    s.reset(3);
    const LoadedModel loaded = load_model(o.environment.model_path, false);
    const mjModel* m = loaded.model.get();
    const std::vector<double> all = states(s);
    bool inside = true;
    for (int env = 0; env < 20; ++env) {
      const double* qpos = all.data() + static_cast<std::ptrdiff_t>(env) * s.state_dim() + 1;
      CHECK(std::abs(std::sqrt(qpos[3] * qpos[3] + qpos[4] * qpos[4] + qpos[5] * qpos[5] +
                               qpos[6] * qpos[6]) -
                     1.0) < 1e-15);
      for (int j = 1; j < static_cast<int>(m->njnt); ++j) {
        const double q = qpos[m->jnt_qposadr[j]];
        inside = inside && q >= m->jnt_range[2 * j] && q <= m->jnt_range[2 * j + 1];
      }
    }
    CHECK(inside == within);
  }
}

// A message from anywhere reaches the process's handler; loading leaves it and the log as they
// were.
std::vector<std::string> messages;
void keep(const mjLogMessage* message) { messages.emplace_back(message->subject); }

void test_loading_is_quiet() {
  const mjLogConfig before = mju_getLogConfig();
  const mjfLogHandler previous = mju_setLogHandler(&keep);
  // half_cheetah.xml uses an attribute that MuJoCo calls deprecated
  const LoadedModel loaded = load_model(model_path("half_cheetah.xml"), false);
  CHECK(loaded.warning.find("deprecated") != std::string::npos);
  CHECK(messages.empty());
  mju_warning("after %d", 1);
  CHECK(messages == std::vector<std::string>{"after 1"});
  CHECK(mju_setLogHandler(previous) == &keep);
  const mjLogConfig after = mju_getLogConfig();
  CHECK(before.logto_file == after.logto_file && before.logto_console == after.logto_console);
  CHECK(std::string(before.logfile) == after.logfile && before.topics == after.topics);
}

template <class Change>
bool rejected(Change change, const char* message) {
  Options o = options(2, 1);
  change(o);
  return admrl_test::throws<InvalidInput>([&o] { (void)simulation(o); }, message);
}

void test_bad_options() {
  using O = Options;
  CHECK(rejected([](O& o) { o.num_envs = 0; }, "num_envs: expected at least 1, got 0"));
  CHECK(rejected([](O& o) { o.num_threads = -2; }, "num_threads: expected at least 1, got -2"));
  CHECK(rejected([](O& o) { o.environment.frame_skip = 0; },
                 "frame_skip: expected at least 1, got 0"));
  CHECK(rejected([](O& o) { o.environment.horizon = 0; }, "horizon: expected at least 1, got 0"));
  CHECK(rejected([](O& o) { o.environment.position_noise = -1.0; },
                 "position_noise: expected a finite number"));
  CHECK(rejected([](O& o) { o.environment.model_path = "missing.xml"; },
                 "model: cannot load missing.xml: "));
  CHECK(rejected([](O& o) { o.environment.model_path = model_path("hopper.xml"); },
                 "act_dim: expected 3"));
  Simulation s = simulation(options(2, 1));
  std::vector<float> actions(2 * kActDim, 0.0F);
  actions[kActDim + 3] = std::nanf("");
  Output out(2);
  CHECK(admrl_test::throws<InvalidInput>(
      [&] { s.step(actions, kTask, out.steps()); },
      "actions: expected finite values, got nan in environment 1"));
}

}  // namespace

int main() {
  return admrl_test::run([] {
    test_against_mj_step(1);
    test_against_mj_step(5);
    test_rollout_bits();
    test_many_policies();
    test_poll_stops_a_rollout();
    test_failure_contract();
    test_failure_in_a_rollout();
    test_blow_up();
    test_resets();
    test_loading_is_quiet();
    test_bad_options();
  });
}
