// A task family as data, interpreted: observation, reward, reward gradient, termination.
//
// The same declaration (admrl_native.families.declaration.Family) is interpreted by the torch
// implementation; every feature is read from the next observation s'.
//
//   f_j  = (s'[feature_j] - offset_j) / scale_j
//   abs:    r = -sum_j c_j |f_j - psi_j| + base      dr/dpsi_j = c_j sign(f_j - psi_j)
//   linear: r =  sum_j c_j psi_j f_j     + base      dr/dpsi_j = c_j f_j
//   base = -control_cost * |clip(a, -1, 1)|^2 + bonus
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace admrl {

// Where a block of the observation comes from. A rate is the finite difference of qpos over the
// step (at reset: the velocities of the same coordinates).
enum class ObsSource { kQpos, kQvel, kQposRate };

struct ObsBlock {
  ObsSource source;
  int start;    // first index
  int stop;     // past the last index
  double clip;  // entries are clipped to +- this; infinity: not clipped
};

enum class RewardForm { kAbs, kLinear };

// An episode ends when one of these entries of s' leaves the range.
struct HealthyRange {
  std::vector<int> indices;
  double low;   // -infinity: unbounded
  double high;  // infinity: unbounded
  bool closed;  // the bounds themselves are healthy
};

struct FamilyDeclaration {
  std::string name;
  int act_dim;
  std::vector<ObsBlock> obs_blocks;
  RewardForm form;
  std::vector<int> features;
  std::vector<double> coefficients;
  std::vector<double> offset;
  std::vector<double> scale;
  double control_cost;
  double bonus;
  std::vector<HealthyRange> healthy;
};

// psi of every environment, float64: rows of K numbers, or one row for all (stride 0).
struct TaskParams {
  const double* data;
  std::ptrdiff_t stride;
  const double* row(std::ptrdiff_t index) const noexcept { return data + index * stride; }
};

struct Reward {
  double reward;
  double base;  // the part that does not depend on psi
  bool done;
};

// Whether all values are finite at the precision of the data, float32.
bool is_finite(std::span<const double> values) noexcept;

class FamilySpec {
 public:
  // Raises InvalidInput if the declaration contradicts itself.
  explicit FamilySpec(FamilyDeclaration declaration);

  const FamilyDeclaration& declaration() const noexcept { return declaration_; }
  int obs_dim() const noexcept { return obs_dim_; }
  int act_dim() const noexcept { return declaration_.act_dim; }
  int task_dim() const noexcept { return static_cast<int>(declaration_.features.size()); }

  // Evaluates one transition in float64. next_obs (D), action (A), psi (K); writes grad (K).
  // An s' that is not finite in float32 ends the episode, with reward, base and gradient 0.
  Reward evaluate(const double* next_obs, const float* action, const double* psi,
                  double* grad) const noexcept;

 private:
  struct Bound {
    int index;
    double low;   // smallest healthy value
    double high;  // largest healthy value
  };

  FamilyDeclaration declaration_;
  int obs_dim_ = 0;
  std::vector<Bound> bounds_;
};

// An action as the actuators see it, in [-1, 1]; not-a-number passes through.
inline double clipped_action(float a) noexcept {
  const double value = a;
  return value < -1.0 ? -1.0 : (value > 1.0 ? 1.0 : value);
}

}  // namespace admrl
