// The extension module: a table of contents.
#include <pybind11/pybind11.h>

#include <string>

#include "bindings/bindings.hpp"
#include "bindings/gil.hpp"

namespace {

namespace py = pybind11;

newfunc new_of_pybind11 = nullptr;

PyObject* new_object(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
  return new_of_pybind11(type, arguments, keywords);
}

// Native objects are neither copied, as threads and views of arrays cannot be, nor made without
// __init__: there would be nothing behind them. Python refuses the __new__ of a base class where
// the derived one has another.
void guard_classes(const py::module_& m) {
  for (const auto& [name, value] : py::dict(m.attr("__dict__"))) {
    if (!py::isinstance<py::type>(value) ||
        PyObject_IsSubclass(value.ptr(), PyExc_Exception) == 1) {
      continue;
    }
    const std::string text = "admrl_native._core." + std::string(py::str(name)) +
                             ": expected something else to pickle or copy, got a native object";
    value.attr("__reduce_ex__") = py::cpp_function(
        [text](const py::handle&, int) -> py::object { throw py::type_error(text); },
        py::is_method(value));
    auto* type = reinterpret_cast<PyTypeObject*>(value.ptr());
    new_of_pybind11 = type->tp_new;
    type->tp_new = new_object;
    PyType_Modified(type);
  }
}

}  // namespace

PYBIND11_MODULE(_core, m, py::multiple_interpreters::not_supported()) {
  m.doc() = "Native core of admrl_native.";
  admrl::watch_the_end();
  admrl::bind_errors(m);
  admrl::bind_build_info(m);
  admrl::bind_thread_pool(m);
  admrl::bind_family(m);
  admrl::bind_simulation(m);
  admrl::bind_policy(m);
  admrl::bind_virtual_rollout(m);
  admrl::bind_network(m);
  admrl::bind_update(m);
  admrl::bind_trajectories(m);
  admrl::bind_solve(m);
  guard_classes(m);
}
