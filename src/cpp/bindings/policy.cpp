#include "bindings/policy.hpp"

#include <pybind11/stl.h>

#include <string>

#include "bindings/bindings.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

std::vector<MlpLayer> views(const LayerObjects& layers) {
  std::vector<MlpLayer> out;
  for (const auto& [weight, bias] : layers) {
    const auto sizes = sizes_of<float>(weight, "policy: weight", {{"out"}, {"in"}});
    const auto w =
        read_span<float>(weight, "policy: weight", {{"out", sizes[0]}, {"in", sizes[1]}});
    const auto b = read_span<float>(bias, "policy: bias", {{"out", sizes[0]}});
    out.push_back({w.data(), b.data(), static_cast<int>(sizes[1]), static_cast<int>(sizes[0])});
  }
  return out;
}

template <class Arrays>
auto pack_all(const py::tuple& policies) {
  const std::string kind = py::str(py::type::of<Arrays>().attr("__name__"));
  std::vector<decltype(std::declval<const Arrays&>().pack())> packed;
  for (std::size_t b = 0; b < policies.size(); ++b) {
    const py::object policy = policies[b];
    if (!py::isinstance<Arrays>(policy)) {
      throw InvalidInput("policies[" + std::to_string(b) + "]: expected a " + kind +
                         " as policies[0], got " +
                         std::string(py::str(py::type::of(policy).attr("__name__"))));
    }
    packed.push_back(py::cast<const Arrays&>(policy).pack());
  }
  return packed;
}

}  // namespace

PolicyArrays::PolicyArrays(LayerObjects layers, py::object log_std, py::object obs_mean,
                           py::object obs_std)
    : layers_(std::move(layers)),
      log_std_(std::move(log_std)),
      obs_mean_(std::move(obs_mean)),
      obs_std_(std::move(obs_std)) {
  (void)pack();  // reports what is wrong now rather than at the first rollout
}

GaussianPolicy PolicyArrays::pack() const {
  return GaussianPolicy(views(layers_), read_span<float>(log_std_, "policy: log_std", {{"A"}}),
                        read_span<float>(obs_mean_, "policy: obs_mean", {{"D"}}),
                        read_span<float>(obs_std_, "policy: obs_std", {{"D"}}));
}

SquashedPolicyArrays::SquashedPolicyArrays(LayerObjects layers, py::object obs_mean,
                                           py::object obs_std, double log_std_low,
                                           double log_std_high)
    : layers_(std::move(layers)),
      obs_mean_(std::move(obs_mean)),
      obs_std_(std::move(obs_std)),
      log_std_low_(static_cast<float>(log_std_low)),
      log_std_high_(static_cast<float>(log_std_high)) {
  (void)pack();
}

SquashedGaussianPolicy SquashedPolicyArrays::pack() const {
  return SquashedGaussianPolicy(
      views(layers_), read_span<float>(obs_mean_, "policy: obs_mean", {{"D"}}),
      read_span<float>(obs_std_, "policy: obs_std", {{"D"}}), log_std_low_, log_std_high_);
}

PackedPolicies pack_policies(const py::sequence& items) {
  const py::tuple policies(items);
  if (policies.empty()) throw InvalidInput("policies: expected at least one");
  const py::object first = policies[0];
  if (py::isinstance<PolicyArrays>(first)) return pack_all<PolicyArrays>(policies);
  if (py::isinstance<SquashedPolicyArrays>(first)) return pack_all<SquashedPolicyArrays>(policies);
  throw InvalidInput("policies[0]: expected a GaussianPolicy or a SquashedGaussianPolicy, got " +
                     std::string(py::str(py::type::of(first).attr("__name__"))));
}

void bind_policy(py::module_& m) {
  py::classh<PolicyArrays>(m, "GaussianPolicy",
                           "A Gaussian tanh-MLP policy over arrays that it refers to, not copies.")
      .def(py::init<LayerObjects, py::object, py::object, py::object>(), py::arg("layers"),
           py::arg("log_std"), py::arg("obs_mean"), py::arg("obs_std"));
  py::classh<SquashedPolicyArrays>(
      m, "SquashedGaussianPolicy",
      R"(A squashed Gaussian ReLU-MLP policy over arrays that it refers to, not copies.

a = tanh(mean + exp(log_std) eps), [mean, log_std] = network((s - obs_mean) / obs_std).

Args:
    layers: [(weight (out, in), bias (out,)), ...] float32, D to 2 A, ReLU between.
    obs_mean: (D,) float32.
    obs_std: (D,) float32.
    log_std_low: log_std is clamped to at least this.
    log_std_high: and to at most this.

Raises:
    ValueError: arrays that do not fit, numbers that are not finite, or bounds out of order.)")
      .def(py::init<LayerObjects, py::object, py::object, double, double>(), py::arg("layers"),
           py::arg("obs_mean"), py::arg("obs_std"), py::arg("log_std_low"),
           py::arg("log_std_high"));
}

}  // namespace admrl
