//! From text to expression: a token at a time, so that nothing is looked at beyond the one after the end.

use super::{Expr, Relation, Value};

pub(super) fn parse(text: &str) -> Result<Expr, String> {
    let mut parser = Parser { rest: text, token: Token::End };
    parser.advance()?;
    let whole = parser.or()?;
    verdict(whole)
}

struct Parser<'a> {
    rest: &'a str,
    /// The next one.
    token: Token,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    End,
    /// A word in capitals that means something.
    Word(&'static str),
    Sign(&'static str),
    Name(String),
    Value(Value),
}

impl Parser<'_> {
    fn or(&mut self) -> Result<Expr, String> {
        let mut left = self.and()?;
        while self.takes(&Token::Word("OR"))? {
            left = Expr::Or(Box::new(verdict(left)?), Box::new(verdict(self.and()?)?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr, String> {
        let mut left = self.equality()?;
        while self.takes(&Token::Word("AND"))? {
            left = Expr::And(Box::new(verdict(left)?), Box::new(verdict(self.equality()?)?));
        }
        Ok(left)
    }

    fn equality(&mut self) -> Result<Expr, String> {
        let mut left = self.comparison()?;
        loop {
            if self.takes(&Token::Sign("="))? {
                left = equal(left, self.comparison()?)?;
            } else if self.takes(&Token::Sign("<>"))? {
                left = Expr::Not(Box::new(equal(left, self.comparison()?)?));
            } else if self.takes(&Token::Word("IS"))? {
                let not = self.takes(&Token::Word("NOT"))?;
                self.wants(&Token::Word("NULL"))?;
                left = negated(Expr::IsNull(Box::new(left)), not);
            } else {
                return Ok(left);
            }
        }
    }

    fn comparison(&mut self) -> Result<Expr, String> {
        let mut left = self.unary()?;
        loop {
            let relation = match self.token {
                Token::Sign(">") => Some(Relation::Greater),
                Token::Sign(">=") => Some(Relation::AtLeast),
                Token::Sign("<") => Some(Relation::Less),
                Token::Sign("<=") => Some(Relation::AtMost),
                _ => None,
            };
            if let Some(relation) = relation {
                self.advance()?;
                left = ordered(relation, left, self.unary()?)?;
                continue;
            }
            let not = self.takes(&Token::Word("NOT"))?;
            if self.takes(&Token::Word("BETWEEN"))? {
                let low = self.unary()?;
                self.wants(&Token::Word("AND"))?;
                left = negated(between(left, low, self.unary()?)?, not);
            } else if self.takes(&Token::Word("IN"))? {
                left = negated(self.list(left)?, not);
            } else if not {
                return Err(format!("unexpected {:?} after NOT", self.token));
            } else {
                return Ok(left);
            }
        }
    }

    fn list(&mut self, of: Expr) -> Result<Expr, String> {
        let Expr::Property(name) = of else { return Err("IN is for properties only".to_owned()) };
        self.wants(&Token::Sign("("))?;
        let mut list = vec![self.text()?];
        while self.takes(&Token::Sign(","))? {
            list.push(self.text()?);
        }
        self.wants(&Token::Sign(")"))?;
        Ok(Expr::In(name, list))
    }

    fn unary(&mut self) -> Result<Expr, String> {
        if self.takes(&Token::Sign("+"))? {
            self.unary()
        } else if self.takes(&Token::Sign("-"))? {
            Ok(match self.unary()? {
                Expr::Value(Value::Long(number)) => Expr::Value(Value::Long(-number)),
                Expr::Value(Value::Double(number)) => Expr::Value(Value::Double(-number)),
                inner => Expr::Negate(Box::new(inner)),
            })
        } else if self.takes(&Token::Word("NOT"))? {
            Ok(Expr::Not(Box::new(verdict(self.unary()?)?)))
        } else {
            self.primary()
        }
    }

    fn primary(&mut self) -> Result<Expr, String> {
        if self.takes(&Token::Sign("("))? {
            let inner = self.or()?;
            self.wants(&Token::Sign(")"))?;
            return Ok(inner);
        }
        let primary = match &self.token {
            Token::Name(name) => Expr::Property(name.clone()),
            Token::Value(value) => Expr::Value(value.clone()),
            Token::Word("TRUE") => Expr::Value(Value::Bool(true)),
            Token::Word("FALSE") => Expr::Value(Value::Bool(false)),
            Token::Word("NULL") => Expr::Value(Value::Null),
            other => return Err(format!("unexpected {other:?}")),
        };
        self.advance()?;
        Ok(primary)
    }

    fn text(&mut self) -> Result<String, String> {
        let Token::Value(Value::Text(text)) = self.token.clone() else {
            return Err(format!("a text was expected, not {:?}", self.token));
        };
        self.advance()?;
        Ok(text)
    }

    fn takes(&mut self, token: &Token) -> Result<bool, String> {
        let there = self.token == *token;
        if there {
            self.advance()?;
        }
        Ok(there)
    }

    fn wants(&mut self, token: &Token) -> Result<(), String> {
        if self.takes(token)? { Ok(()) } else { Err(format!("{token:?} was expected, not {:?}", self.token)) }
    }

    fn advance(&mut self) -> Result<(), String> {
        self.skip();
        let text = self.rest;
        let (token, length) = match text.chars().next() {
            None => (Token::End, 0),
            Some('\'') => quoted(text)?,
            Some(first) if first.is_ascii_digit() || first == '.' => number(text)?,
            Some(first) if first.is_ascii_alphabetic() || first == '_' || first == '$' => word(text),
            Some(_) => {
                let sign = SIGNS.into_iter().find(|sign| text.starts_with(sign));
                let sign = sign.ok_or_else(|| format!("nothing begins like {text:?}"))?;
                (Token::Sign(sign), sign.len())
            }
        };
        self.token = token;
        self.rest = &text[length..];
        Ok(())
    }

    /// Blanks, and comments that end.
    fn skip(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
            let line = self.rest.strip_prefix("--").and_then(|rest| rest.split_once(['\n', '\r']));
            let block = self.rest.strip_prefix("/*").and_then(|rest| rest.split_once("*/"));
            match line.or(block) {
                Some((_, rest)) => self.rest = rest,
                None => return,
            }
        }
    }
}

fn quoted(text: &str) -> Result<(Token, usize), String> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, char)) = chars.next() {
        if char != '\'' {
            value.push(char);
        } else if chars.next_if(|(_, next)| *next == '\'').is_some() {
            value.push('\'');
        } else {
            return Ok((Token::Value(Value::Text(value)), at + 1));
        }
    }
    Err(format!("{text:?} does not end"))
}

fn number(text: &str) -> Result<(Token, usize), String> {
    let digits = |from: &str| from.chars().take_while(char::is_ascii_digit).count();
    let mut length = digits(text);
    let mut whole = true;
    if text[length..].starts_with('.') {
        whole = false;
        length += 1 + digits(&text[length + 1..]);
    }
    if text[length..].starts_with(['e', 'E']) {
        let signed = usize::from(text[length + 1..].starts_with(['+', '-']));
        let exponent = digits(&text[length + 1 + signed..]);
        if exponent > 0 {
            whole = false;
            length += 1 + signed + exponent;
        }
    }
    let wrong = || format!("{text:?} begins with no number");
    if whole {
        // A zero stands for itself.
        let length = if text.starts_with('0') { 1 } else { length };
        let long = usize::from(!text.starts_with('0') && text[length..].starts_with(['l', 'L']));
        let number = text[..length].parse().map_err(|_| wrong())?;
        return Ok((Token::Value(Value::Long(number)), length + long));
    }
    let number = text[..length].parse().map_err(|_| wrong())?;
    Ok((Token::Value(Value::Double(number)), length))
}

fn word(text: &str) -> (Token, usize) {
    let belongs = |char: &char| char.is_ascii_alphanumeric() || matches!(char, '_' | '$');
    let length = text.chars().take_while(belongs).count();
    let name = &text[..length];
    let known = WORDS.into_iter().find(|known| known.eq_ignore_ascii_case(name));
    (known.map_or_else(|| Token::Name(name.to_owned()), Token::Word), length)
}

/// What can be true or false.
fn verdict(expr: Expr) -> Result<Expr, String> {
    match expr {
        Expr::Property(_) => Ok(Expr::Cast(Box::new(expr))),
        Expr::Value(Value::Long(_) | Value::Double(_) | Value::Text(_)) | Expr::Negate(_) => {
            Err(format!("{expr:?} is neither true nor false"))
        }
        _ => Ok(expr),
    }
}

fn negated(expr: Expr, not: bool) -> Expr {
    if not { Expr::Not(Box::new(expr)) } else { expr }
}

fn equal(left: Expr, right: Expr) -> Result<Expr, String> {
    if [&left, &right].into_iter().any(|side| *side == Expr::Value(Value::Null)) {
        return Err("NULL cannot be compared".to_owned());
    }
    Ok(Expr::Compare(Relation::Equal, Box::new(left), Box::new(right)))
}

/// Constants that are ordered are numbers.
fn ordered(relation: Relation, left: Expr, right: Expr) -> Result<Expr, String> {
    for side in [&left, &right] {
        match side {
            Expr::Value(Value::Long(_) | Value::Double(_)) | Expr::Property(_) | Expr::Negate(_) => {}
            other => return Err(format!("{other:?} cannot be compared")),
        }
    }
    Ok(Expr::Compare(relation, Box::new(left), Box::new(right)))
}

fn between(of: Expr, low: Expr, high: Expr) -> Result<Expr, String> {
    if let (Expr::Value(low), Expr::Value(high)) = (&low, &high) {
        let order = Relation::AtMost.holds(low.clone(), high.clone());
        if !matches!(order, Ok(Value::Bool(true))) {
            return Err(format!("nothing is between {low:?} and {high:?}"));
        }
    }
    let least = ordered(Relation::AtLeast, of.clone(), low)?;
    Ok(Expr::And(Box::new(least), Box::new(ordered(Relation::AtMost, of, high)?)))
}

const SIGNS: [&str; 11] = ["<>", "<=", ">=", "=", "<", ">", "(", ")", ",", "+", "-"];
const WORDS: [&str; 9] = ["NOT", "AND", "OR", "BETWEEN", "IN", "TRUE", "FALSE", "NULL", "IS"];
