"""Problems with closed forms, to test estimators of the task gradient and of its parts on."""

from .linear_gaussian import ExactTerms, LinearDynamics, LinearGaussianProblem, Where
from .linear_policy import LinearGaussianPolicy
from .newton import NoMaximumError
from .problems import random_problem, scalar_problem
from .quadratic_value import QuadraticValue, zero_value

__all__ = [
    "ExactTerms",
    "LinearDynamics",
    "LinearGaussianPolicy",
    "LinearGaussianProblem",
    "NoMaximumError",
    "QuadraticValue",
    "Where",
    "random_problem",
    "scalar_problem",
    "zero_value",
]
