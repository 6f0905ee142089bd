#include "core/rollout/virtual_rollout.hpp"

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <string>
#include <vector>

#include "core/check.hpp"

namespace admrl {

namespace {

constexpr int kSegment = 8;  // steps that a chunk takes before another may have the thread

void check(const VirtualModel& model, const FamilySpec& family,
           const VirtualRolloutRequest& request) {
  require(model.obs_dim() == family.obs_dim() && model.act_dim() == family.act_dim(),
          "model: expected D=", family.obs_dim(), ", A=", family.act_dim(),
          " as the family has, got ", model.obs_dim(), ", ", model.act_dim());
  require(!request.tasks.empty(), "tasks: expected at least one");
  require(request.num_envs >= 1 && request.num_steps >= 1 && request.horizon >= 1,
          "num_envs, num_steps, horizon: expected at least 1");
  const auto states = static_cast<std::int64_t>(request.start_states.size()) / family.obs_dim();
  require(states >= 1, "start_states: expected at least one");
  const std::size_t draws = to_size((long{request.num_steps} + 1) * request.num_envs);
  for (const VirtualTask& task : request.tasks) {
    require(
        task.policy->obs_dim() == family.obs_dim() && task.policy->act_dim() == family.act_dim(),
        "policy: expected D=", family.obs_dim(), ", A=", family.act_dim(),
        " as the family has, got ", task.policy->obs_dim(), ", ", task.policy->act_dim());
    const bool inside = std::all_of(task.starts, task.starts + draws,
                                    [&](std::int64_t i) { return i >= 0 && i < states; });
    require(inside, "starts: expected rows in [0, ", states, ")");
  }
}

// Some environments that go through the model together, with what each remembers between steps.
struct Chunk {
  int first, rows;  // environments b N + n
  int step = 0;     // steps done
  bool busy = false;
  std::vector<float> states;  // (rows, D)
  std::vector<int> ages;      // (rows) steps of the current episode
};

// What a thread needs for one chunk's step.
struct Workspace {
  Workspace(const VirtualModel& model, int rows, int policy_scratch, int task_dim)
      : model_scratch(model, rows),
        inputs(to_size(long{rows} * (model.obs_dim() + model.act_dim()))),
        next(to_size(long{rows} * model.obs_dim())),
        policy(to_size(policy_scratch)),
        next64(to_size(model.obs_dim())),
        grad(to_size(task_dim)) {}

  VirtualModel::Scratch model_scratch;
  std::vector<float> inputs, next, policy;
  std::vector<double> next64, grad;
};

class Rollout {
 public:
  Rollout(const VirtualModel& model, const FamilySpec& family, const VirtualRolloutRequest& request,
          const RolloutArrays& out, int num_threads)
      : model_(model),
        family_(family),
        request_(request),
        out_(out),
        obs_dim_(to_size(model.obs_dim())),
        act_dim_(to_size(model.act_dim())) {
    out_.steps.excluded = nullptr;
    // More chunks than the products like where threads would have nothing to do otherwise.
    const int envs = static_cast<int>(request.tasks.size()) * request.num_envs;
    const int best = (envs + model.best_rows() - 1) / model.best_rows();
    const int count = std::min(envs, std::max(best, num_threads));
    for (int i = 0; i < count; ++i) {
      const int first = static_cast<int>(long{envs} * i / count);
      const int rows = static_cast<int>(long{envs} * (i + 1) / count) - first;
      Chunk& chunk = chunks_.emplace_back();
      chunk.first = first;
      chunk.rows = rows;
      chunk.states.resize(to_size(rows) * obs_dim_);
      chunk.ages.resize(to_size(rows));
      for (int r = 0; r < rows; ++r) start_episode(chunk, r, 0);
    }
    int policy_scratch = 0;
    for (const VirtualTask& task : request.tasks) {
      policy_scratch = std::max(policy_scratch, task.policy->scratch_size());
    }
    const int most_rows = (envs + count - 1) / count;
    for (int i = 0; i < num_threads; ++i) {
      workspaces_.emplace_back(model, most_rows, policy_scratch, family.task_dim());
    }
  }

  // Takes segments of whichever chunk is furthest behind, until all are done or in other hands.
  void work(int thread) {
    while (Chunk* chunk = claim()) {
      const int end = std::min(chunk->step + kSegment, request_.num_steps);
      for (; chunk->step < end; ++chunk->step) step(*chunk, workspaces_[to_size(thread)]);
      release(*chunk);
    }
  }

 private:
  Chunk* claim() {
    const std::lock_guard lock(mutex_);
    Chunk* behind = nullptr;
    for (Chunk& chunk : chunks_) {
      if (chunk.busy || chunk.step == request_.num_steps) continue;
      if (behind == nullptr || chunk.step < behind->step) behind = &chunk;
    }
    if (behind != nullptr) behind->busy = true;
    return behind;
  }

  void release(Chunk& chunk) {
    const std::lock_guard lock(mutex_);
    chunk.busy = false;
  }

  void start_episode(Chunk& chunk, int row, int step) {
    const int env = chunk.first + row, num_envs = request_.num_envs;
    const VirtualTask& task = request_.tasks[to_size(env / num_envs)];
    const std::int64_t start = task.starts[long{step} * num_envs + env % num_envs];
    std::copy_n(request_.start_states.data() + to_size(start) * obs_dim_, obs_dim_,
                chunk.states.data() + to_size(row) * obs_dim_);
    chunk.ages[to_size(row)] = 0;
  }

  void step(Chunk& chunk, Workspace& work) {
    for (int r = 0; r < chunk.rows; ++r) act(chunk, r, work);
    model_.predict(work.inputs.data(), chunk.rows, work.next.data(), work.model_scratch);
    for (int r = 0; r < chunk.rows; ++r) finish(chunk, r, work);
  }

  // Draws the action of one environment and writes the model's input.
  void act(const Chunk& chunk, int row, Workspace& work) {
    const int env = chunk.first + row, num_envs = request_.num_envs;
    const VirtualTask& task = request_.tasks[to_size(env / num_envs)];
    const float* state = chunk.states.data() + to_size(row) * obs_dim_;
    const float* noise =
        task.noise + to_size(long{chunk.step} * num_envs + env % num_envs) * act_dim_;
    const std::size_t at = row_of(chunk, row);
    float* action = out_.actions + at * act_dim_;
    float* input = work.inputs.data() + to_size(row) * (obs_dim_ + act_dim_);
    out_.log_probs[at] = task.policy->act(state, {noise, nullptr}, action, work.policy.data());
    for (std::size_t i = 0; i < act_dim_; ++i) {
      input[obs_dim_ + i] = static_cast<float>(clipped_action(action[i]));
    }
    std::copy_n(state, obs_dim_, input);
    std::copy_n(state, obs_dim_, out_.obs + at * obs_dim_);
  }

  // Reward and end of one environment's step; its next state.
  void finish(Chunk& chunk, int row, Workspace& work) {
    const int env = chunk.first + row;
    const VirtualTask& task = request_.tasks[to_size(env / request_.num_envs)];
    const float* next = work.next.data() + to_size(row) * obs_dim_;
    const std::size_t at = row_of(chunk, row);
    std::copy_n(next, obs_dim_, work.next64.begin());
    const Transition transition{.next_obs = work.next64.data(),
                                .action = out_.actions + at * act_dim_,
                                .psi = task.psi,
                                .sound = true,
                                .last = ++chunk.ages[to_size(row)] >= request_.horizon};
    if (record(family_, transition, work.grad.data(), out_.steps, at)) {
      start_episode(chunk, row, chunk.step + 1);
    } else {
      std::copy_n(next, obs_dim_, chunk.states.data() + to_size(row) * obs_dim_);
    }
  }

  std::size_t row_of(const Chunk& chunk, int row) const {
    return to_size(long{chunk.first + row} * request_.num_steps + chunk.step);
  }

  const VirtualModel& model_;
  const FamilySpec& family_;
  const VirtualRolloutRequest& request_;
  RolloutArrays out_;
  std::size_t obs_dim_, act_dim_;
  std::mutex mutex_;  // guards `busy`, and `step` of the chunks that are not
  std::vector<Chunk> chunks_;
  std::vector<Workspace> workspaces_;
};

}  // namespace

void virtual_rollout(ThreadPool& pool, const VirtualModel& model, const FamilySpec& family,
                     const VirtualRolloutRequest& request, const RolloutArrays& out) {
  check(model, family, request);
  Rollout rollout(model, family, request, out, pool.num_threads());
  pool.for_each(pool.num_threads(), [&](int thread) { rollout.work(thread); });
}

}  // namespace admrl
