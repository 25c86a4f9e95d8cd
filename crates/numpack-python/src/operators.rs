//! Operators of `LazyArray`: NumPy's, on the array; results are ndarrays and never touch the file.
//!
//! There are no in-place operators, so `lazy += 1` binds the name to a new ndarray.

use pyo3::basic::CompareOp;
use pyo3::prelude::*;

use crate::lazy::LazyArray;

type Object<'py> = Bound<'py, PyAny>;

impl LazyArray {
    /// `operator.name(self, other)`, or with the sides changed.
    fn binary<'py>(&self, name: &str, other: &Object<'py>, reflected: bool) -> PyResult<Object<'py>> {
        let py = other.py();
        let module = if name == "divmod" { "builtins" } else { "operator" };
        let operator = py.import(module)?.getattr(name)?;
        self.parts(py)?.computed(py, |array| {
            if reflected { operator.call1((other, array)) } else { operator.call1((array, other)) }
        })
    }

    fn unary<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Object<'py>> {
        let operator = py.import("operator")?.getattr(name)?;
        self.parts(py)?.computed(py, |array| operator.call1((array,)))
    }
}

#[pymethods]
impl LazyArray {
    fn __add__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("add", other, false)
    }

    fn __radd__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("add", other, true)
    }

    fn __sub__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("sub", other, false)
    }

    fn __rsub__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("sub", other, true)
    }

    fn __mul__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("mul", other, false)
    }

    fn __rmul__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("mul", other, true)
    }

    fn __truediv__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("truediv", other, false)
    }

    fn __rtruediv__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("truediv", other, true)
    }

    fn __floordiv__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("floordiv", other, false)
    }

    fn __rfloordiv__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("floordiv", other, true)
    }

    fn __mod__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("mod", other, false)
    }

    fn __rmod__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("mod", other, true)
    }

    fn __divmod__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("divmod", other, false)
    }

    fn __rdivmod__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("divmod", other, true)
    }

    fn __lshift__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("lshift", other, false)
    }

    fn __rlshift__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("lshift", other, true)
    }

    fn __rshift__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("rshift", other, false)
    }

    fn __rrshift__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("rshift", other, true)
    }

    fn __and__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("and_", other, false)
    }

    fn __rand__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("and_", other, true)
    }

    fn __or__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("or_", other, false)
    }

    fn __ror__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("or_", other, true)
    }

    fn __xor__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("xor", other, false)
    }

    fn __rxor__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("xor", other, true)
    }

    fn __matmul__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("matmul", other, false)
    }

    fn __rmatmul__<'py>(&self, other: &Object<'py>) -> PyResult<Object<'py>> {
        self.binary("matmul", other, true)
    }

    fn __pow__<'py>(&self, other: &Object<'py>, modulo: &Object<'py>) -> PyResult<Object<'py>> {
        let py = other.py();
        if !modulo.is_none() {
            return Ok(py.NotImplemented().into_bound(py));
        }
        self.binary("pow", other, false)
    }

    fn __rpow__<'py>(&self, other: &Object<'py>, modulo: &Object<'py>) -> PyResult<Object<'py>> {
        let py = other.py();
        if !modulo.is_none() {
            return Ok(py.NotImplemented().into_bound(py));
        }
        self.binary("pow", other, true)
    }

    fn __neg__<'py>(&self, py: Python<'py>) -> PyResult<Object<'py>> {
        self.unary(py, "neg")
    }

    fn __pos__<'py>(&self, py: Python<'py>) -> PyResult<Object<'py>> {
        self.unary(py, "pos")
    }

    fn __abs__<'py>(&self, py: Python<'py>) -> PyResult<Object<'py>> {
        self.unary(py, "abs")
    }

    fn __invert__<'py>(&self, py: Python<'py>) -> PyResult<Object<'py>> {
        self.unary(py, "invert")
    }

    fn __richcmp__<'py>(&self, other: &Object<'py>, op: CompareOp) -> PyResult<Object<'py>> {
        let py = other.py();
        self.parts(py)?.computed(py, |array| array.rich_compare(other, op))
    }

    fn __bool__(&self, py: Python<'_>) -> PyResult<bool> {
        self.parts(py)?.computed(py, |array| Ok(array.clone()))?.is_truthy()
    }

    fn __int__<'py>(&self, py: Python<'py>) -> PyResult<Object<'py>> {
        self.parts(py)?.computed(py, |array| array.call_method0("__int__"))
    }

    fn __index__<'py>(&self, py: Python<'py>) -> PyResult<Object<'py>> {
        self.parts(py)?.computed(py, |array| array.call_method0("__index__"))
    }

    fn __float__<'py>(&self, py: Python<'py>) -> PyResult<Object<'py>> {
        self.parts(py)?.computed(py, |array| array.call_method0("__float__"))
    }

    fn __complex__<'py>(&self, py: Python<'py>) -> PyResult<Object<'py>> {
        self.parts(py)?.computed(py, |array| array.call_method0("__complex__"))
    }
}
