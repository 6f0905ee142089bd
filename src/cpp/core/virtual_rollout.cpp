#include "core/virtual_rollout.hpp"

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <string>
#include <vector>

#include "core/error.hpp"

namespace admrl {

namespace {

constexpr int kSegment = 8;  // steps that a chunk takes before another may have the thread

std::size_t to_size(long n) { return static_cast<std::size_t>(n); }

void require(bool ok, const std::string& message) {
  if (!ok) throw InvalidInput(message);
}

void check(const VirtualModel& model, const FamilySpec& family,
           const VirtualRolloutRequest& request) {
  require(model.obs_dim() == family.obs_dim() && model.act_dim() == family.act_dim(),
          "model: expected D=" + std::to_string(family.obs_dim()) +
              ", A=" + std::to_string(family.act_dim()) + " as the family has, got " +
              std::to_string(model.obs_dim()) + ", " + std::to_string(model.act_dim()));
  require(!request.tasks.empty(), "tasks: expected at least one");
  require(request.num_envs >= 1 && request.num_steps >= 1 && request.horizon >= 1,
          "num_envs, num_steps, horizon: expected at least 1");
  const auto states = static_cast<std::int64_t>(request.start_states.size()) / family.obs_dim();
  require(states >= 1, "start_states: expected at least one");
  const std::size_t draws = to_size((long{request.num_steps} + 1) * request.num_envs);
  for (const VirtualTask& task : request.tasks) {
    require(
        task.policy->obs_dim() == family.obs_dim() && task.policy->act_dim() == family.act_dim(),
        "policy: expected D=" + std::to_string(family.obs_dim()) +
            ", A=" + std::to_string(family.act_dim()) + " as the family has, got " +
            std::to_string(task.policy->obs_dim()) + ", " + std::to_string(task.policy->act_dim()));
    const bool inside = std::all_of(task.starts, task.starts + draws,
                                    [&](std::int64_t i) { return i >= 0 && i < states; });
    require(inside, "starts: expected rows in [0, " + std::to_string(states) + ")");
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
        mean(to_size(model.act_dim())),
        next64(to_size(model.obs_dim())),
        grad(to_size(task_dim)) {}

  VirtualModel::Scratch model_scratch;
  std::vector<float> inputs, next, policy, mean;
  std::vector<double> next64, grad;
};

class Rollout {
 public:
  Rollout(const VirtualModel& model, const FamilySpec& family, const VirtualRolloutRequest& request,
          const VirtualArrays& out, int num_threads)
      : model_(model),
        family_(family),
        request_(request),
        out_(out),
        obs_dim_(to_size(model.obs_dim())),
        act_dim_(to_size(model.act_dim())),
        task_dim_(to_size(family.task_dim())) {
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
    for (int r = 0; r < chunk.rows; ++r) judge(chunk, r, work);
  }

  // Draws the action of one environment and writes the model's input.
  void act(const Chunk& chunk, int row, Workspace& work) {
    const int env = chunk.first + row, num_envs = request_.num_envs;
    const VirtualTask& task = request_.tasks[to_size(env / num_envs)];
    const float* state = chunk.states.data() + to_size(row) * obs_dim_;
    const float* noise =
        task.noise + to_size(long{chunk.step} * num_envs + env % num_envs) * act_dim_;
    const std::size_t at = record(chunk, row);
    float* action = out_.actions + at * act_dim_;
    float* input = work.inputs.data() + to_size(row) * (obs_dim_ + act_dim_);
    task.policy->mean(state, work.mean.data(), work.policy.data());
    for (std::size_t i = 0; i < act_dim_; ++i) {
      action[i] = work.mean[i] + task.policy->std()[i] * noise[i];
      input[obs_dim_ + i] = static_cast<float>(clipped_action(action[i]));
    }
    std::copy_n(state, obs_dim_, input);
    std::copy_n(state, obs_dim_, out_.obs + at * obs_dim_);
    out_.log_probs[at] = task.policy->log_prob(action, work.mean.data());
  }

  // Reward and end of one environment's step; its next state.
  void judge(Chunk& chunk, int row, Workspace& work) {
    const int env = chunk.first + row;
    const VirtualTask& task = request_.tasks[to_size(env / request_.num_envs)];
    const float* next = work.next.data() + to_size(row) * obs_dim_;
    const std::size_t at = record(chunk, row);
    std::copy_n(next, obs_dim_, out_.next_obs + at * obs_dim_);
    std::copy_n(next, obs_dim_, work.next64.begin());
    const Reward reward = family_.evaluate(work.next64.data(), out_.actions + at * act_dim_,
                                           task.psi, work.grad.data());
    out_.rewards[at] = static_cast<float>(reward.reward);
    out_.base_rewards[at] = static_cast<float>(reward.base);
    for (std::size_t j = 0; j < task_dim_; ++j) {
      out_.reward_grads[at * task_dim_ + j] = static_cast<float>(work.grad[j]);
    }
    const bool timeout = ++chunk.ages[to_size(row)] >= request_.horizon && !reward.done;
    out_.dones[at] = reward.done;
    out_.timeouts[at] = timeout;
    if (reward.done || timeout) {
      start_episode(chunk, row, chunk.step + 1);
    } else {
      std::copy_n(next, obs_dim_, chunk.states.data() + to_size(row) * obs_dim_);
    }
  }

  std::size_t record(const Chunk& chunk, int row) const {
    return to_size(long{chunk.first + row} * request_.num_steps + chunk.step);
  }

  const VirtualModel& model_;
  const FamilySpec& family_;
  const VirtualRolloutRequest& request_;
  const VirtualArrays& out_;
  std::size_t obs_dim_, act_dim_, task_dim_;
  std::mutex mutex_;  // guards `busy`, and `step` of the chunks that are not
  std::vector<Chunk> chunks_;
  std::vector<Workspace> workspaces_;
};

}  // namespace

void virtual_rollout(ThreadPool& pool, const VirtualModel& model, const FamilySpec& family,
                     const VirtualRolloutRequest& request, const VirtualArrays& out) {
  check(model, family, request);
  Rollout rollout(model, family, request, out, pool.num_threads());
  pool.for_each(pool.num_threads(), [&](int thread) { rollout.work(thread); });
}

}  // namespace admrl
