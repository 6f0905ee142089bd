#include "bindings/simulation.hpp"

#include <pybind11/stl.h>

#include <optional>
#include <string>

#include "bindings/bindings.hpp"
#include "bindings/family.hpp"
#include "bindings/gil.hpp"

namespace admrl {

namespace py = pybind11;

std::uint64_t read_seed(const py::int_& seed) {
  const unsigned long long value = PyLong_AsUnsignedLongLong(seed.ptr());
  if (PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    throw InvalidInput("seed: expected an integer in [0, 2**64), got " +
                       std::string(py::str(seed)));
  }
  return value;
}

Poll poll_signals() {
  return [] {
    const HeldGil held;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  };
}

namespace {

void reset(Simulation& s, const std::optional<py::int_>& seed, const py::object& mask) {
  if (seed && !mask.is_none()) {
    throw InvalidInput("mask: expected None when a seed is given: a new stream begins everywhere");
  }
  if (seed) {
    const std::uint64_t value = read_seed(*seed);
    const ReleasedGil released;
    s.reset(value);
    return;
  }
  std::span<const bool> selected;
  if (!mask.is_none()) selected = read_span<bool>(mask, "mask", {{"N", s.num_envs()}});
  const ReleasedGil released;
  s.reset_next(selected);
}

py::array observations(const Simulation& s) {
  NewArray<float> out({s.num_envs(), s.spec().obs_dim()});
  const ReleasedGil released;
  s.observations(out.span);
  return std::move(out.array);
}

py::array initial_observations(const Simulation& s, int n, const py::int_& seed) {
  if (n < 1) throw InvalidInput("n: expected at least 1, got " + std::to_string(n));
  const std::uint64_t value = read_seed(seed);
  NewArray<float> out({n, s.spec().obs_dim()});
  const ReleasedGil released;
  s.initial_observations(value, out.span);
  return std::move(out.array);
}

py::array state(const Simulation& s) {
  NewArray<double> out({s.num_envs(), s.state_dim()});
  const ReleasedGil released;
  s.states(out.span);
  return std::move(out.array);
}

py::dict step(Simulation& s, const py::object& actions, const py::object& psi) {
  const Dim rows{"N", s.num_envs()};
  const auto act = read_span<float>(actions, "actions", {rows, {"A", s.spec().act_dim()}});
  const TaskParams task = read_psi(psi, rows, s.spec().task_dim());
  RolloutOutput out({s.num_envs()}, s.spec());
  {
    const ReleasedGil released;
    s.step(act, task, out.arrays().steps);
  }
  return out.steps();
}

}  // namespace

void bind_simulation(py::module_& m) {
  SimulationClass simulation(m, "Simulation",
                             "N environments of one family, on a pool of threads.");
  simulation
      .def(py::init([](const FamilySpec& spec, std::string model_path, int num_envs,
                       int num_threads, int frame_skip, int horizon, bool halve_margins,
                       bool reset_within_limits, double position_noise, double velocity_noise) {
             const EnvironmentOptions options{
                 std::move(model_path), frame_skip,     horizon,       halve_margins,
                 reset_within_limits,   position_noise, velocity_noise};
             const ReleasedGil released;
             return std::make_unique<Simulation>(Environment(spec, options), num_envs, num_threads);
           }),
           py::kw_only(), py::arg("spec"), py::arg("model_path"), py::arg("num_envs"),
           py::arg("num_threads"), py::arg("frame_skip"), py::arg("horizon"),
           py::arg("halve_margins"), py::arg("reset_within_limits"), py::arg("position_noise"),
           py::arg("velocity_noise"))
      .def_property_readonly("obs_dim", [](const Simulation& s) { return s.spec().obs_dim(); })
      .def_property_readonly("act_dim", [](const Simulation& s) { return s.spec().act_dim(); })
      .def_property_readonly("task_dim", [](const Simulation& s) { return s.spec().task_dim(); })
      .def_property_readonly("num_envs", &Simulation::num_envs)
      .def_property_readonly("num_threads", &Simulation::num_threads)
      .def_property_readonly("horizon", &Simulation::horizon)
      .def_property_readonly("timestep",
                             [](const Simulation& s) { return s.environment().timestep(); })
      .def_property_readonly("load_warning",
                             [](const Simulation& s) { return s.environment().load_warning(); })
      .def("reset", &reset, py::arg("seed") = py::none(), py::arg("mask") = py::none())
      .def("observations", &observations)
      .def("initial_observations", &initial_observations, py::arg("n"), py::arg("seed"))
      .def("state", &state)
      .def("step", &step, py::arg("actions"), py::arg("psi"));
  bind_rollout_method(simulation);
}

}  // namespace admrl
