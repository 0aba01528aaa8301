//! SQL92 expressions over the properties of a message, as far as brokers are asked to evaluate them in tests:
//! comparisons, `BETWEEN`, `IN`, `IS NULL`, `AND`, `OR`, `NOT`, numbers and texts.
//!
//! As brokers do: what follows a complete expression is not read, a comparison with a property that is missing is
//! neither true nor false, and one that cannot be made, as of a text with a number, matches nothing.

mod parse;

use super::message::Properties;

/// An expression that was understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Selector(Expr);

#[derive(Clone, Debug, PartialEq)]
enum Expr {
    Value(Value),
    Property(String),
    Negate(Box<Self>),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Compare(Relation, Box<Self>, Box<Self>),
    IsNull(Box<Self>),
    In(String, Vec<String>),
    /// A property where a verdict is wanted: never true.
    Cast(Box<Self>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Equal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// What an expression comes to.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Null,
    Bool(bool),
    Long(i64),
    Double(f64),
    Text(String),
}

/// Two values that cannot be compared: then the whole expression matches nothing.
#[derive(Debug)]
struct Incomparable;

impl Selector {
    /// Reads an expression.
    ///
    /// # Errors
    /// It is none; the text says why.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        parse::parse(text).map(Self)
    }

    /// Whether a message with these properties matches.
    pub(crate) fn matches(&self, properties: &Properties) -> bool {
        matches!(self.0.evaluate(properties), Ok(Value::Bool(true)))
    }
}

impl Expr {
    fn evaluate(&self, of: &Properties) -> Result<Value, Incomparable> {
        Ok(match self {
            Self::Value(value) => value.clone(),
            Self::Property(name) => of.get(name).map_or(Value::Null, |text| Value::Text(text.to_owned())),
            Self::Negate(inner) => match inner.evaluate(of)? {
                Value::Long(number) => Value::Long(-number),
                Value::Double(number) => Value::Double(-number),
                Value::Null | Value::Bool(_) | Value::Text(_) => Value::Null,
            },
            Self::Not(inner) => match inner.evaluate(of)? {
                Value::Bool(verdict) => Value::Bool(!verdict),
                _ => Value::Null,
            },
            Self::And(left, right) => either(left, right, of, false)?,
            Self::Or(left, right) => either(left, right, of, true)?,
            Self::Compare(relation, left, right) => relation.holds(left.evaluate(of)?, right.evaluate(of)?)?,
            Self::IsNull(inner) => Value::Bool(inner.evaluate(of)? == Value::Null),
            Self::In(name, list) => match of.get(name) {
                Some(text) => Value::Bool(list.iter().any(|one| one == text)),
                None => Value::Null,
            },
            Self::Cast(inner) => match inner.evaluate(of)? {
                Value::Null => Value::Null,
                _ => Value::Bool(false),
            },
        })
    }
}

/// Whether one of two is decisive, for which the other does not matter.
fn either(left: &Expr, right: &Expr, of: &Properties, decisive: bool) -> Result<Value, Incomparable> {
    let left = left.evaluate(of)?;
    if left == Value::Bool(decisive) {
        return Ok(left);
    }
    let right = right.evaluate(of)?;
    if right == Value::Bool(decisive) || (left != Value::Null && right != Value::Null) {
        return Ok(right);
    }
    Ok(Value::Null)
}

impl Relation {
    fn holds(self, left: Value, right: Value) -> Result<Value, Incomparable> {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let order = match (self, left, right) {
            (Self::Equal, Value::Null, Value::Null) => return Ok(Value::Bool(true)),
            (_, Value::Null, _) => return Ok(Value::Null),
            (Self::Equal, _, Value::Null) => return Ok(Value::Bool(false)),
            (_, _, Value::Null) => return Ok(Value::Null),
            (Self::Equal, Value::Text(left), Value::Text(right)) => left.cmp(&right),
            (_, Value::Text(left), Value::Text(right)) => double(&left)?.total_cmp(&double(&right)?),
            (_, Value::Text(left), Value::Bool(right)) => left.eq_ignore_ascii_case("true").cmp(&right),
            (_, Value::Text(left), Value::Long(right)) => long(&left)?.cmp(&right),
            (_, Value::Long(left), Value::Text(right)) => left.cmp(&long(&right)?),
            (_, Value::Text(left), Value::Double(right)) => double(&left)?.total_cmp(&right),
            (_, Value::Double(left), Value::Text(right)) => left.total_cmp(&double(&right)?),
            (_, Value::Long(left), Value::Long(right)) => left.cmp(&right),
            (_, Value::Double(left), Value::Double(right)) => left.total_cmp(&right),
            (_, Value::Long(left), Value::Double(right)) => (left as f64).total_cmp(&right),
            (_, Value::Double(left), Value::Long(right)) => left.total_cmp(&(right as f64)),
            (_, Value::Bool(left), Value::Bool(right)) => left.cmp(&right),
            (_, Value::Bool(_), _) | (_, _, Value::Bool(_)) => Less,
        };
        Ok(Value::Bool(match self {
            Self::Equal => order == Equal,
            Self::Less => order == Less,
            Self::AtMost => order != Greater,
            Self::Greater => order == Greater,
            Self::AtLeast => order != Less,
        }))
    }
}

fn long(text: &str) -> Result<i64, Incomparable> {
    text.parse().map_err(|_| Incomparable)
}

fn double(text: &str) -> Result<f64, Incomparable> {
    text.trim().parse().map_err(|_| Incomparable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(expression: &str, properties: &[(&str, &str)]) -> bool {
        let mut all = Properties::default();
        properties.iter().for_each(|(key, value)| all.set(key, value));
        Selector::parse(expression).unwrap_or_else(|why| panic!("{expression}: {why}")).matches(&all)
    }

    #[test]
    fn numbers_and_texts_are_compared() {
        for yes in ["a > 3", "a >= 4", "a < 5", "a <= 4", "a = 4", "a <> 5", "a > -1", "4.5 > a", "a > 3.5", "4 = a"] {
            assert!(matches(yes, &[("a", "4")]), "{yes}");
        }
        for no in ["a > 4", "a >= 5", "a < 4", "a <= 3", "a = 5", "a <> 4", "a > 'x'", "a > b"] {
            assert!(!Selector::parse(no).is_ok_and(|_| matches(no, &[("a", "4")])), "{no}");
        }
        assert!(matches("a = 'it''s'", &[("a", "it's")]) && !matches("a = 'x'", &[("a", "y")]));
        assert!(!matches("a > 3 OR b = 1", &[("a", "text"), ("b", "1")]), "what cannot be compared spoils the whole");
        assert!(!matches("a <> 3", &[("a", "text")]) && !matches("a > 3", &[("a", "4.5")]), "4.5 is no integer");
    }

    #[test]
    fn what_is_missing_is_neither_true_nor_false() {
        assert!(!matches("a = 1", &[]) && !matches("a <> 1", &[]) && !matches("NOT (a = 1)", &[]));
        assert!(matches("a = 1 OR b = 2", &[("b", "2")]) && !matches("a = 1 AND b = 2", &[("b", "2")]));
        assert!(matches("a IS NULL", &[]) && !matches("a IS NULL", &[("a", "")]));
        assert!(matches("a IS NOT NULL", &[("a", "x")]) && !matches("a IS NOT NULL", &[]));
        assert!(matches("a = b", &[]), "two that are missing are equal");
        assert!(!matches("a", &[("a", "true")]) && matches("TRUE", &[]) && !matches("FALSE", &[]));
    }

    #[test]
    fn ranges_and_lists() {
        assert!(matches("a BETWEEN 2 AND 4", &[("a", "4")]) && !matches("a BETWEEN 2 AND 4", &[("a", "5")]));
        assert!(matches("a NOT BETWEEN 2 AND 4", &[("a", "5")]) && !matches("a NOT BETWEEN 2 AND 4", &[("a", "2")]));
        assert!(matches("a in ('x', 'y')", &[("a", "y")]) && !matches("a IN ('x')", &[("a", "y")]));
        assert!(matches("a not in ('x')", &[("a", "y")]) && !matches("a NOT IN ('x')", &[]));
        assert!(matches("(a = 1 OR b = 1) AND NOT (c = 1)", &[("a", "1"), ("c", "2")]));
        assert!(matches("a = 1 OR b = 1 AND c = 1", &[("a", "1")]), "and binds more tightly");
    }

    #[test]
    fn what_follows_is_not_read() {
        for fine in ["a > 3 b", "a > 3)", "a = 1 a = 2", " a > 3 -- so it is", "a > 3 /* x */ AND b > 1", "a > 3 'x'"] {
            assert!(Selector::parse(fine).is_ok(), "{fine}");
        }
        assert!(matches("a > 3 b > 7", &[("a", "4")]));
    }

    #[test]
    fn what_is_no_expression_is_told() {
        let wrong = [
            "",
            " ",
            "a >",
            "> 3",
            "a > > 3",
            "(a > 3",
            "a IN (1)",
            "a IN ()",
            "3 IN ('x')",
            "a > 'x'",
            "a = NULL",
            "a BETWEEN 4 AND 2",
            "a BETWEEN 1",
            "a IS 3",
            "'x'",
            "3",
            "a > 3 #",
            "a = 'x",
            "NOT 3",
            "a > 3 AND 3",
        ];
        for wrong in wrong {
            assert!(Selector::parse(wrong).is_err(), "{wrong}");
        }
    }
}
