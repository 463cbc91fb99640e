//! The value of a node whose operands are all constant.
//!
//! Weights that the graph binarises, scale factors that it takes the mean of, and the shapes that old exporters
//! compute are constants in this way. What is not known here is the node's own to refuse.

mod arithmetic;
mod moving;
mod reduce;

use super::constant::{Budget, Constant, Data, Shared};
use super::node::Node;
use super::proto::data_type;
use crate::ConvertError;

/// The operands of a node; `None` for one that is left out.
pub(super) type Operands<'a> = &'a [Option<Shared>];

/// The value of a node; `None` where the operator is not one that constants are folded through.
pub(super) fn evaluate(
    node: &Node<'_>,
    operands: Operands<'_>,
    budget: &mut Budget,
) -> Result<Option<Constant>, ConvertError> {
    let wrong = || node.unsupported("its constant operands do not go together");
    for operand in operands.iter().flatten() {
        budget.charge(node.name, node.operator(), operand.len())?;
    }
    let first = operands.first().and_then(Option::as_ref);
    let mut cx = Context { node, operands, budget };
    let result = match (node.operator(), first) {
        ("Constant", _) => return cx.constant().map(Some),
        (_, None) => return Ok(None),
        ("ConstantOfShape", Some(shape)) => return cx.of_shape(shape).map(Some),
        ("Identity" | "Dropout", Some(x)) => Some(Constant::clone(x)),
        ("Cast", Some(x)) => Some(cx.cast(x)?),
        ("CastLike", Some(x)) if matches!(cx.operand(1).map(|like| like.data()), Some(Data::Float(_))) => {
            Some(x.map(|v| v))
        }
        (operator, Some(x)) => match arithmetic::evaluate(&mut cx, operator, x)? {
            Some(result) => Some(result),
            None => match moving::evaluate(&mut cx, operator, x)? {
                Some(result) => Some(result),
                None => match reduce::kind(operator) {
                    Some(kind) => Some(reduce::reduce(&mut cx, kind, x)?.ok_or_else(wrong)?),
                    None => None,
                },
            },
        },
    };
    Ok(result)
}

/// What the folding of one node works with.
struct Context<'a, 'n> {
    node: &'a Node<'n>,
    operands: Operands<'a>,
    budget: &'a mut Budget,
}

impl Context<'_, '_> {
    fn operand(&self, i: usize) -> Option<&Shared> {
        self.operands.get(i).and_then(Option::as_ref)
    }

    fn wrong(&self) -> ConvertError {
        self.node.unsupported("its constant operands do not go together")
    }

    /// Integers in an attribute, or in an operand in newer files.
    fn list(&self, attribute: &str, operand: usize) -> Result<Option<Vec<i64>>, ConvertError> {
        match (self.node.ints(attribute), self.operand(operand)) {
            (Some(ints), _) => Ok(Some(ints.to_vec())),
            (None, Some(constant)) => constant.as_ints().map(|v| Some(v.to_vec())).ok_or_else(|| self.wrong()),
            (None, None) => Ok(None),
        }
    }

    fn charge(&mut self, elements: usize) -> Result<(), ConvertError> {
        self.budget.charge(self.node.name, self.node.operator(), elements)
    }

    fn constant(&mut self) -> Result<Constant, ConvertError> {
        let node = self.node;
        if let Some(tensor) = node.tensor("value") {
            return Constant::read(tensor, self.budget);
        }
        if let Some(value) = node.float("value_float") {
            return Ok(Constant::scalar(value));
        }
        let ints = |dims, data: Vec<i64>| Constant::new(dims, Data::Int(data)).ok_or_else(|| self.wrong());
        if let Some(value) = node.int("value_int") {
            return ints(Vec::new(), vec![value]);
        }
        if let Some(values) = node.ints("value_ints") {
            return ints(vec![values.len()], values.to_vec());
        }
        let floats = node.floats("value_floats").ok_or_else(|| node.unsupported("its value is not a dense tensor"))?;
        Constant::new(vec![floats.len()], Data::Float(floats.to_vec())).ok_or_else(|| self.wrong())
    }

    fn of_shape(&mut self, shape: &Constant) -> Result<Constant, ConvertError> {
        let dims = moving::sizes(shape).ok_or_else(|| self.wrong())?;
        let len = super::constant::elements(&dims).ok_or_else(|| self.wrong())?;
        self.charge(len)?;
        let value = match self.node.tensor("value") {
            Some(tensor) => Constant::read(tensor, self.budget)?,
            None => Constant::scalar(0.0),
        };
        let data = match value.data() {
            Data::Float(v) => v.first().map(|&v| Data::Float(vec![v; len])),
            Data::Int(v) => v.first().map(|&v| Data::Int(vec![v; len])),
        };
        data.and_then(|data| Constant::new(dims, data)).ok_or_else(|| self.wrong())
    }

    fn cast(&self, x: &Constant) -> Result<Constant, ConvertError> {
        let to = self.node.int("to").and_then(|to| i32::try_from(to).ok()).unwrap_or(0);
        let data = match (to, x.data()) {
            (data_type::FLOAT | data_type::DOUBLE | data_type::FLOAT16 | data_type::BFLOAT16, _) => {
                Data::Float(x.to_floats())
            }
            (data_type::BOOL, Data::Float(v)) => Data::Int(v.iter().map(|&v| i64::from(v != 0.0)).collect()),
            (data_type::BOOL, Data::Int(v)) => Data::Int(v.iter().map(|&v| i64::from(v != 0)).collect()),
            (
                data_type::INT8
                | data_type::UINT8
                | data_type::INT16
                | data_type::UINT16
                | data_type::INT32
                | data_type::UINT32
                | data_type::INT64
                | data_type::UINT64,
                data,
            ) => match data {
                Data::Float(v) => Data::Int(v.iter().map(|&v| v as i64).collect()),
                Data::Int(v) => Data::Int(v.clone()),
            },
            _ => return Err(self.node.unsupported(format!("to element type {to}"))),
        };
        Constant::new(x.dims().to_vec(), data).ok_or_else(|| self.wrong())
    }
}
