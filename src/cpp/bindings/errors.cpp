// Translates the exceptions of the core once. InvalidInput is a std::invalid_argument, which
// pybind11 itself makes a ValueError.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <exception>
#include <string>

#include "bindings/bindings.hpp"
#include "core/error.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

// Strong references held for the life of the process, as for any built-in exception.
PyObject* simulation_error = nullptr;
PyObject* solver_error = nullptr;
PyObject* not_finite_error = nullptr;

PyObject* new_exception(py::module_& m, const char* name, const char* doc,
                        PyObject* base = PyExc_RuntimeError) {
  const std::string qualified = std::string("admrl_native.") + name;
  PyObject* type = PyErr_NewExceptionWithDoc(qualified.c_str(), doc, base, nullptr);
  if (type == nullptr) throw py::error_already_set();
  m.attr(name) = py::handle(type);
  return type;
}

}  // namespace

void bind_errors(py::module_& m) {
  simulation_error = new_exception(
      m, "SimulationError",
      "MuJoCo raised an error in some environments.\n\n"
      "They kept the state they had before the call; the others ran to completion.\n\n"
      "Attributes:\n    env_ids: list of the environments that failed.");
  solver_error =
      new_exception(m, "SolverError",
                    "A callback or a recurrence produced a value with which a solve cannot go on.");
  not_finite_error =
      new_exception(m, "NotFiniteError",
                    "Numbers that an update or an evaluation cannot go on with.", PyExc_ValueError);
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const SimulationError& e) {
      const py::object error = py::handle(simulation_error)(e.what());
      error.attr("env_ids") = py::cast(e.env_ids);
      PyErr_SetObject(simulation_error, error.ptr());
    } catch (const NotFinite& e) {
      PyErr_SetString(not_finite_error, e.what());
    } catch (const SolverError& e) {
      PyErr_SetString(solver_error, e.what());
    }
  });
}

}  // namespace admrl
