// The limit of real rollouts: the physics of one on MuJoCo's batch of simulations, nothing else.
// Compiled and called by benchmarks/rollout_peers.py.
#include <mujoco/mjbatch.h>
#include <mujoco/mujoco.h>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

namespace {

struct Replay {
  mjModel* model;
  mjBatch* batch;
  int num_envs;
};

// What to replay: controls (N, T, nu); ends (N, T), whether an episode ends; starts (E, N, state),
// the state in which every environment begins each of its episodes.
struct Work {
  int num_envs, num_steps, frame_skip, state_dim;
  const double* controls;
  const bool* ends;
  const double* starts;

  const double* start(int episode, int env) const {
    return starts + (std::ptrdiff_t{episode} * num_envs + env) * state_dim;
  }
};

void run(const mjModel* m, mjData* d, int env, void* arg) {
  const auto* w = static_cast<const Work*>(arg);
  int episode = 0;
  for (int t = 0; t < w->num_steps; ++t) {
    const std::ptrdiff_t row = std::ptrdiff_t{env} * w->num_steps + t;
    std::copy_n(w->controls + row * m->nu, m->nu, d->ctrl);
    for (int k = 0; k < w->frame_skip; ++k) mj_step(m, d);
    if (w->ends[row]) mj_setState(m, d, w->start(++episode, env), mjSTATE_INTEGRATION);
  }
}

}  // namespace

extern "C" {

// nullptr if the model does not load.
Replay* replay_make(const char* path, int num_envs, int num_threads) {
  char error[1024] = "";
  mjModel* model = mj_loadXML(path, nullptr, error, sizeof error);
  if (model == nullptr) return nullptr;
  model->opt.disableflags |= mjDSBL_AUTORESET;
  const mjBatchConfig config{num_threads, 0};
  return new Replay{model, mjb_makeBatch(model, num_envs, &config, error, sizeof error), num_envs};
}

// Writes the last states (N, state). Returns how many environments failed.
int replay_run(Replay* r, int num_steps, int frame_skip, const double* controls, const bool* ends,
               const double* starts, double* states) {
  Work work{r->num_envs, num_steps, frame_skip, mjb_nstate(r->batch), controls, ends, starts};
  const std::size_t size = static_cast<std::size_t>(work.num_envs) * work.state_dim;
  std::copy_n(starts, size, mjb_state(r->batch));
  std::vector<int> ids(static_cast<std::size_t>(r->num_envs));
  std::iota(ids.begin(), ids.end(), 0);
  const int failed = mjb_apply(r->batch, ids.data(), r->num_envs, &run, &work, 1);
  std::copy_n(mjb_state(r->batch), size, states);
  return failed;
}
}
