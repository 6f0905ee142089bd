#include "bindings/family.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/bindings.hpp"
#include "bindings/gil.hpp"
#include "core/environment/family.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

using Block = std::tuple<std::string, int, int, double>;           // source, start, stop, clip
using Range = std::tuple<std::vector<int>, double, double, bool>;  // indices, low, high, closed

FamilySpec make_spec(std::string name, int act_dim, const std::vector<Block>& obs_blocks,
                     const std::string& form, std::vector<int> features,
                     std::vector<double> coefficients, std::vector<double> offset,
                     std::vector<double> scale, double control_cost, double bonus,
                     const std::vector<Range>& healthy) {
  FamilyDeclaration d{
      .name = std::move(name),
      .act_dim = act_dim,
      .obs_blocks = {},
      .form = choice<RewardForm>("form", form,
                                 {{"abs", RewardForm::kAbs}, {"linear", RewardForm::kLinear}}),
      .features = std::move(features),
      .coefficients = std::move(coefficients),
      .offset = std::move(offset),
      .scale = std::move(scale),
      .control_cost = control_cost,
      .bonus = bonus,
      .healthy = {}};
  for (const auto& [source, start, stop, clip] : obs_blocks) {
    const auto kind = choice<ObsSource>("obs_blocks", source,
                                        {{"qpos", ObsSource::kQpos},
                                         {"qvel", ObsSource::kQvel},
                                         {"qpos_rate", ObsSource::kQposRate}});
    d.obs_blocks.push_back({kind, start, stop, clip});
  }
  for (const auto& [indices, low, high, closed] : healthy) {
    d.healthy.push_back({indices, low, high, closed});
  }
  return FamilySpec(std::move(d));
}

py::tuple evaluate(const FamilySpec& spec, const py::object& next_obs, const py::object& actions,
                   const py::object& psi) {
  const auto obs = read_span<float>(next_obs, "next_obs", {{"M"}, {"D", spec.obs_dim()}});
  const py::ssize_t rows = obs.shape[0];
  const auto act = read_span<float>(actions, "actions", {{"M", rows}, {"A", spec.act_dim()}});
  const TaskParams task = read_psi(psi, {"M", rows}, spec.task_dim());
  RolloutOutput out({rows}, spec);
  {
    const ReleasedGil released;
    StepArrays steps = out.arrays().steps;
    steps.excluded = nullptr;
    const std::size_t obs_dim = to_size(spec.obs_dim()), act_dim = to_size(spec.act_dim());
    std::vector<double> row(obs_dim), grad(to_size(spec.task_dim()));
    for (std::size_t i = 0; i < to_size(rows); ++i) {
      std::copy_n(obs.data() + i * obs_dim, obs_dim, row.data());
      const double* row_psi = task.row(static_cast<std::ptrdiff_t>(i));
      record(spec, {row.data(), act.data() + i * act_dim, row_psi, true, false}, grad.data(), steps,
             i);
    }
  }
  return py::make_tuple(out.rewards.array, out.reward_grads.array, out.base_rewards.array,
                        out.dones.array);
}

std::vector<py::ssize_t> shape(std::vector<py::ssize_t> leading, int last) {
  leading.push_back(last);
  return leading;
}

}  // namespace

TaskParams read_psi(py::handle psi, const Dim& rows, int task_dim) {
  const bool one =
      py::isinstance<py::array>(psi) && py::reinterpret_borrow<py::array>(psi).ndim() == 1;
  const Dim task{"K", task_dim};
  const auto values =
      one ? read_span<double>(psi, "psi", {task}) : read_span<double>(psi, "psi", {rows, task});
  if (!std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); })) {
    throw InvalidInput("psi: expected finite values");
  }
  return {values.data(), one ? 0 : task_dim};
}

RolloutOutput::RolloutOutput(const std::vector<py::ssize_t>& leading, const FamilySpec& spec)
    : obs(shape(leading, spec.obs_dim())),
      actions(shape(leading, spec.act_dim())),
      log_probs(leading),
      next_obs(shape(leading, spec.obs_dim())),
      rewards(leading),
      reward_grads(shape(leading, spec.task_dim())),
      base_rewards(leading),
      dones(leading),
      timeouts(leading),
      excluded(leading) {
  std::ranges::fill(excluded.span, false);  // only a simulation excludes
}

RolloutArrays RolloutOutput::arrays() {
  return {
      obs.span.data(),
      actions.span.data(),
      log_probs.span.data(),
      {next_obs.span.data(), rewards.span.data(), reward_grads.span.data(),
       base_rewards.span.data(), dones.span.data(), timeouts.span.data(), excluded.span.data()}};
}

py::dict RolloutOutput::steps() const {
  py::dict d;
  d["next_obs"] = next_obs.array;
  d["rewards"] = rewards.array;
  d["reward_grads"] = reward_grads.array;
  d["base_rewards"] = base_rewards.array;
  d["dones"] = dones.array;
  d["timeouts"] = timeouts.array;
  d["excluded"] = excluded.array;
  return d;
}

py::dict RolloutOutput::rollout() const {
  py::dict d = steps();
  d["obs"] = obs.array;
  d["actions"] = actions.array;
  d["log_probs"] = log_probs.array;
  return d;
}

void bind_family(py::module_& m) {
  py::classh<FamilySpec>(m, "FamilySpec", "A task family as data, interpreted by the core.")
      .def(py::init(&make_spec), py::kw_only(), py::arg("name"), py::arg("act_dim"),
           py::arg("obs_blocks"), py::arg("form"), py::arg("features"), py::arg("coefficients"),
           py::arg("offset"), py::arg("scale"), py::arg("control_cost"), py::arg("bonus"),
           py::arg("healthy"))
      .def_property_readonly("obs_dim", &FamilySpec::obs_dim)
      .def_property_readonly("act_dim", &FamilySpec::act_dim)
      .def_property_readonly("task_dim", &FamilySpec::task_dim)
      .def("evaluate", &evaluate, py::arg("next_obs"), py::arg("actions"), py::arg("psi"));
}

}  // namespace admrl
