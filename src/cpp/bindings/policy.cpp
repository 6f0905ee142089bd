#include "bindings/policy.hpp"

#include <string>
#include <utility>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "core/network/gaussian_policy.hpp"
#include "core/network/squashed_policy.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

std::span<const float> numbers(const py::object& array, const char* name, const char* letter) {
  return read_span<float>(array, joined("policy: ", name), {{letter}});
}

class PolicyArrays : public AnyPolicyArrays {
 public:
  PolicyArrays(const py::sequence& layers, py::object log_std, py::object obs_mean,
               py::object obs_std)
      : layers_("policy: layers", layers),
        log_std_(std::move(log_std)),
        obs_mean_(std::move(obs_mean)),
        obs_std_(std::move(obs_std)) {
    (void)pack();  // reports what is wrong now rather than at the first rollout
  }

  std::unique_ptr<const Policy> pack() const final {
    return std::make_unique<GaussianPolicy>(layers_.read(), numbers(log_std_, "log_std", "A"),
                                            numbers(obs_mean_, "obs_mean", "D"),
                                            numbers(obs_std_, "obs_std", "D"));
  }

 private:
  Layers layers_;
  py::object log_std_, obs_mean_, obs_std_;
};

class SquashedPolicyArrays : public AnyPolicyArrays {
 public:
  SquashedPolicyArrays(const py::sequence& layers, py::object obs_mean, py::object obs_std,
                       double log_std_low, double log_std_high)
      : layers_("policy: layers", layers),
        obs_mean_(std::move(obs_mean)),
        obs_std_(std::move(obs_std)),
        log_std_low_(static_cast<float>(log_std_low)),
        log_std_high_(static_cast<float>(log_std_high)) {
    (void)pack();
  }

  std::unique_ptr<const Policy> pack() const final {
    return std::make_unique<SquashedGaussianPolicy>(
        layers_.read(), numbers(obs_mean_, "obs_mean", "D"), numbers(obs_std_, "obs_std", "D"),
        log_std_low_, log_std_high_);
  }

 private:
  Layers layers_;
  py::object obs_mean_, obs_std_;
  float log_std_low_, log_std_high_;
};

std::string kind_of(const py::handle& object) {
  return py::str(py::type::handle_of(object).attr("__name__"));
}

}  // namespace

PackedPolicies pack_policies(const py::sequence& items) {
  const py::tuple policies(items);
  require(!policies.empty(), "policies: expected at least one");
  PackedPolicies packed;
  const std::string kind = kind_of(policies[0]);
  for (const py::handle policy : policies) {
    require(py::isinstance<AnyPolicyArrays>(policy), "policies[", packed.size(),
            "]: expected PolicyArrays or SquashedPolicyArrays, got ", kind_of(policy));
    require(kind_of(policy) == kind, "policies[", packed.size(), "]: expected ", kind,
            " as policies[0], got ", kind_of(policy));
    packed.push_back(py::cast<const AnyPolicyArrays&>(policy).pack());
  }
  return packed;
}

std::vector<const Policy*> pointers_to(const PackedPolicies& policies) {
  std::vector<const Policy*> pointers;
  for (const auto& policy : policies) pointers.push_back(policy.get());
  return pointers;
}

void bind_policy(py::module_& m) {
  py::classh<AnyPolicyArrays>(m, "AnyPolicyArrays", "The arrays of a policy, of either kind.");
  py::classh<PolicyArrays, AnyPolicyArrays>(
      m, "PolicyArrays",
      R"(A Gaussian tanh-MLP policy: arrays that are referred to, not copied.

a = mean + exp(log_std) eps, mean = network((s - obs_mean) / obs_std).

Args:
    layers: [(weight (out, in), bias (out,)), ...] float32, D to A, tanh between.
    log_std: (A,) float32.
    obs_mean: (D,) float32.
    obs_std: (D,) float32.

Raises:
    ValueError: arrays that do not fit, or numbers that are not finite.)")
      .def(py::init<const py::sequence&, py::object, py::object, py::object>(), py::arg("layers"),
           py::arg("log_std"), py::arg("obs_mean"), py::arg("obs_std"));
  py::classh<SquashedPolicyArrays, AnyPolicyArrays>(
      m, "SquashedPolicyArrays",
      R"(A squashed Gaussian ReLU-MLP policy: arrays that are referred to, not copied.

a = tanh(mean + exp(log_std) eps), [mean, log_std] = network((s - obs_mean) / obs_std).

Args:
    layers: [(weight (out, in), bias (out,)), ...] float32, D to 2 A, ReLU between.
    obs_mean: (D,) float32.
    obs_std: (D,) float32.
    log_std_low: log_std is clamped to at least this.
    log_std_high: and to at most this.

Raises:
    ValueError: arrays that do not fit, numbers that are not finite, or bounds out of order.)")
      .def(py::init<const py::sequence&, py::object, py::object, double, double>(),
           py::arg("layers"), py::arg("obs_mean"), py::arg("obs_std"), py::arg("log_std_low"),
           py::arg("log_std_high"));
}

}  // namespace admrl
