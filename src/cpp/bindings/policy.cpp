#include "bindings/policy.hpp"

#include <pybind11/stl.h>

#include "bindings/bindings.hpp"

namespace admrl {

namespace py = pybind11;

PolicyArrays::PolicyArrays(std::vector<std::pair<py::object, py::object>> layers,
                           py::object log_std, py::object obs_mean, py::object obs_std)
    : layers_(std::move(layers)),
      log_std_(std::move(log_std)),
      obs_mean_(std::move(obs_mean)),
      obs_std_(std::move(obs_std)) {
  (void)pack();  // reports what is wrong now rather than at the first rollout
}

GaussianPolicy PolicyArrays::pack() const {
  std::vector<MlpLayer> layers;
  for (const auto& [weight, bias] : layers_) {
    const auto sizes = sizes_of<float>(weight, "policy: weight", {{"out"}, {"in"}});
    const auto w =
        read_span<float>(weight, "policy: weight", {{"out", sizes[0]}, {"in", sizes[1]}});
    const auto b = read_span<float>(bias, "policy: bias", {{"out", sizes[0]}});
    layers.push_back({w.data(), b.data(), static_cast<int>(sizes[1]), static_cast<int>(sizes[0])});
  }
  return GaussianPolicy(layers, read_span<float>(log_std_, "policy: log_std", {{"A"}}),
                        read_span<float>(obs_mean_, "policy: obs_mean", {{"D"}}),
                        read_span<float>(obs_std_, "policy: obs_std", {{"D"}}));
}

void bind_policy(py::module_& m) {
  py::class_<PolicyArrays>(m, "GaussianPolicy",
                           "A Gaussian tanh-MLP policy over arrays that it refers to, not copies.")
      .def(py::init<std::vector<std::pair<py::object, py::object>>, py::object, py::object,
                    py::object>(),
           py::arg("layers"), py::arg("log_std"), py::arg("obs_mean"), py::arg("obs_std"));
}

}  // namespace admrl
