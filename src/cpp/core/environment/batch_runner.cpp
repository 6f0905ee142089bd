#include "core/environment/batch_runner.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <numeric>

#include "core/check.hpp"
#include "core/environment/model_loading.hpp"
#include "core/threads/process.hpp"
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
struct BatchRunner::Piece {
  Work work;
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

BatchRunner::BatchRunner(const mjModel* model, const std::string& name, int num_envs,
                         int num_threads)
    : num_envs_(num_envs), forks_(num_forks()) {
  require_at_least_one("num_envs", num_envs);
  require_at_least_one("num_threads", num_threads);
  std::array<char, 1024> error{};
  // One mjData per thread: it stays in the cache of its core, and a state row is small to move.
  const mjBatchConfig config{num_threads, 0};
  batch_.reset(
      mjb_makeBatch(model, num_envs, &config, error.data(), static_cast<int>(error.size())));
  require(batch_ != nullptr, "model: ", name, ": ", one_line(error.data()));
}

BatchRunner::~BatchRunner() {
  // In a forked child its threads are not there to be waited for: it is given up.
  if (num_threads() > 1 && forks_ != num_forks()) (void)batch_.release();
}

std::unique_lock<std::mutex> BatchRunner::lock() const {
  if (num_threads() > 1 && forks_ != num_forks()) {
    throw WrongProcess("simulation");  // another thread may have held the mutex
  }
  return std::unique_lock(mutex_);
}

void BatchRunner::before_physics() noexcept { tsan_release(&work_done); }

void BatchRunner::apply(std::span<const int> ids, Piece piece, Failures& failures) {
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

void BatchRunner::run_once(Work work, void* context, Failures& failures) {
  std::vector<int> ids(to_size(num_envs_));
  std::iota(ids.begin(), ids.end(), 0);
  apply(ids, {work, context, 0, 1}, failures);
}

void BatchRunner::run(int num_steps, int physics_steps, Work work, void* context, const Poll& poll,
                      Failures& failures) {
  std::vector<int> ids;
  const auto pieces_of = [this, physics_steps](double per_env) {
    return static_cast<int>(
        std::clamp(steps_per_piece_ / per_env / physics_steps, 1.0, kMaxPieceSteps));
  };
  // Some environments at a time for many steps: a state is loaded and saved once a piece.
  const int at_least = 64 * num_threads();
  for (int begin = 0; begin < num_envs_;) {
    const int left = num_envs_ - begin;
    const int groups = 1 + (left - 1) / std::max(at_least, pieces_of(num_steps));
    const int group = 1 + (left - 1) / groups;
    ids.resize(to_size(group));
    std::iota(ids.begin(), ids.end(), begin);
    for (int first = 0; first < num_steps && !ids.empty();) {
      const int count = std::min(num_steps - first, pieces_of(static_cast<double>(ids.size())));
      const auto start = std::chrono::steady_clock::now();
      const std::size_t failed = failures.size();
      apply(ids, {work, context, first, first + count}, failures);
      const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
      for (std::size_t f = failed; f < failures.size(); ++f) std::erase(ids, failures[f].env);
      first += count;
      steps_per_piece_ =
          std::clamp(static_cast<double>(group) * count * physics_steps *
                         std::clamp(kPieceSeconds / std::max(elapsed.count(), 1e-9), 0.1, 4.0),
                     kMinPieceSteps, kMaxPieceSteps);
      if (poll) poll();
    }
    begin += group;
  }
}

void BatchRunner::raise_if_failed(Failures failures) const {
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
                              std::to_string(num_envs_) + " environments (" + named +
                              "), which kept the state they had before the call; environment " +
                              std::to_string(ids.front()) + ": " + failures.front().message;
  throw SimulationError(std::move(ids), message);
}

}  // namespace admrl
