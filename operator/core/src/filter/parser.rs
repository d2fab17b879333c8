//! From tokens to an expression.
//!
//! The function that calls itself does so once for each parenthesis and each NOT, and the number of tokens is bounded, so
//! no text can exhaust the stack.

use super::ast::{Comparison, Expression, Level, Node, Operator};
use super::error::{Fault, FilterError};
use super::like::{Invalid, Pattern};
use super::names::Identifier;
use super::token::{Kind, Token};
use super::{MAX_CHARACTERS, MAX_TOKENS, hints, lexer};

const VALUE: &str = "a name, a number, a string, TRUE, FALSE or (";

/// Parses a filter.
///
/// A filter has at most [`MAX_CHARACTERS`] characters and [`MAX_TOKENS`] tokens, as the broker wants it.
pub fn parse(text: &str) -> Result<Expression, FilterError> {
    parse_text(text).map(Expression).map_err(|fault| FilterError::new(text, fault))
}

fn parse_text(text: &str) -> Result<Node, Fault> {
    let length = text.chars().count();
    if length > MAX_CHARACTERS {
        return Err(Fault::new(MAX_CHARACTERS, format!("the filter has {length} characters, more than {MAX_CHARACTERS}"))
            .hint("use more than one Subscription"));
    }
    let tokens = lexer::tokens(text)?;
    if let Some(token) = tokens.get(MAX_TOKENS) {
        let problem = format!("the filter has {} tokens, more than {MAX_TOKENS}", tokens.len());
        return Err(Fault::new(token.at, problem).hint("use more than one Subscription"));
    }
    if tokens.is_empty() {
        return Err(Fault::new(length, "the filter is empty").expected("a condition, such as price > 10"));
    }
    let mut parser = Parser { tokens: &tokens, position: 0, end: length, open: Vec::new() };
    let (node, level) = parser.expression(Level::Or)?;
    match parser.kind() {
        None => Ok(node),
        Some(_) => Err(parser.unexpected(parser.continuation(level))),
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
    position: usize,
    end: usize,
    /// Where the parentheses that are open began.
    open: Vec<usize>,
}

impl Parser<'_> {
    fn kind(&self) -> Option<&Kind> {
        self.tokens.get(self.position).map(|token| &token.kind)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.position).map_or(self.end, |token| token.at)
    }

    /// Takes the next token if it is this one.
    fn accept(&mut self, kind: &Kind) -> bool {
        let found = self.kind() == Some(kind);
        self.position += usize::from(found);
        found
    }

    fn expect(&mut self, kind: &Kind, expected: &'static str) -> Result<(), Fault> {
        if self.accept(kind) { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    fn unexpected(&self, expected: &'static str) -> Fault {
        let fault = match self.kind() {
            Some(kind) => Fault::new(self.at(), format!("{kind} has no place here")),
            None => Fault::new(self.end, "the filter ends too early"),
        };
        let hint = hints::token(self.tokens, self.position).or_else(|| self.unclosed());
        fault.expected(expected).maybe_hint(hint)
    }

    fn unclosed(&self) -> Option<String> {
        let opened = self.open.last().filter(|_| self.kind().is_none())?;
        Some(format!("the ( at character {} is not closed", opened + 1))
    }

    /// What can come after a part that is complete.
    fn continuation(&self, level: Level) -> &'static str {
        match (self.open.is_empty(), level >= Level::Sum) {
            (true, true) => "a comparison such as = or LIKE, AND, OR, or the end",
            (true, false) => "AND, OR, or the end",
            (false, true) => "an operator or )",
            (false, false) => "AND, OR, or )",
        }
    }

    /// The longest expression from here that holds together at least as tightly as `level`, and how tightly it does.
    fn expression(&mut self, level: Level) -> Result<(Node, Level), Fault> {
        let mut left = if level <= Level::Not && self.accept(&Kind::Not) {
            (Node::Not(Box::new(self.expression(Level::Not)?.0)), Level::Not)
        } else {
            self.signed()?
        };
        while let Some(kind) = self.kind() {
            let (operation, right) = match kind {
                Kind::Or => (Level::Or, Level::And),
                Kind::And => (Level::And, Level::Not),
                Kind::Plus | Kind::Minus => (Level::Sum, Level::Product),
                Kind::Star | Kind::Slash | Kind::Percent => (Level::Product, Level::Sign),
                _ if level <= Level::Comparison && left.1 >= Level::Sum => match self.comparison(left.0)? {
                    Ok(node) => {
                        left = (node, Level::Comparison);
                        continue;
                    }
                    Err(node) => return Ok((node, left.1)),
                },
                _ => break,
            };
            if operation < level || left.1 < operation {
                break;
            }
            let kind = kind.clone();
            self.position += 1;
            let right = self.expression(right)?.0;
            left = (binary(&kind, left.0, right), operation);
        }
        Ok(left)
    }

    /// A comparison of any kind with `left` at its left; gives it back if there is none.
    fn comparison(&mut self, left: Node) -> Result<Result<Node, Node>, Fault> {
        let comparison = match self.kind() {
            Some(Kind::Equal) => Comparison::Equal,
            Some(Kind::NotEqual) => Comparison::NotEqual,
            Some(Kind::Greater) => Comparison::Greater,
            Some(Kind::Less) => Comparison::Less,
            Some(Kind::GreaterOrEqual) => Comparison::GreaterOrEqual,
            Some(Kind::LessOrEqual) => Comparison::LessOrEqual,
            Some(Kind::Is) => return self.is_null(left),
            Some(Kind::Not) => {
                self.position += 1;
                return match self.kind() {
                    Some(Kind::In | Kind::Like) => Ok(self.in_or_like(left)?.map(|node| Node::Not(Box::new(node)))),
                    _ => Err(self.unexpected("IN or LIKE")),
                };
            }
            _ => return self.in_or_like(left),
        };
        self.position += 1;
        let right = self.expression(Level::Sum)?.0;
        Ok(Ok(Node::Compare(comparison, Box::new(left), Box::new(right))))
    }

    fn in_or_like(&mut self, left: Node) -> Result<Result<Node, Node>, Fault> {
        if self.accept(&Kind::In) {
            let list = self.list()?;
            return Ok(Ok(Node::In(Box::new(left), list)));
        }
        if self.accept(&Kind::Like) {
            let pattern = self.pattern()?;
            return Ok(Ok(Node::Like(Box::new(left), pattern)));
        }
        Ok(Err(left))
    }

    fn list(&mut self) -> Result<Vec<Node>, Fault> {
        self.open.push(self.at());
        self.expect(&Kind::Open, "( and the values")?;
        let mut list = Vec::new();
        loop {
            list.push(self.expression(Level::Sum)?.0);
            if !self.accept(&Kind::Comma) {
                break;
            }
        }
        self.expect(&Kind::Close, ", or )")?;
        self.open.pop();
        Ok(list)
    }

    fn pattern(&mut self) -> Result<Pattern, Fault> {
        let at = self.at();
        let text = self.string("a string, which is the pattern")?;
        let escape = if self.accept(&Kind::Escape) {
            let at = self.at();
            let text = self.string("a string of one character")?;
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(escape), None) => Some(escape),
                _ => return Err(Fault::new(at, "the escape is not one character").expected("a string of one character")),
            }
        } else {
            None
        };
        Pattern::new(text, escape).map_err(|invalid| match invalid {
            Invalid::EscapeAtEnd => Fault::new(at, "the pattern ends with its escape character")
                .hint("write the escape character twice for the character itself"),
            Invalid::Control(char) => Fault::new(at, format!("the pattern has the control character U+{:04X}", u32::from(char)))
                .hint("_ stands for any one character"),
        })
    }

    fn string(&mut self, expected: &'static str) -> Result<String, Fault> {
        let Some(Kind::Text(text)) = self.kind() else { return Err(self.unexpected(expected)) };
        let text = text.clone();
        self.position += 1;
        Ok(text)
    }

    /// Only a name that stands alone can be asked whether it is null, not even one in parentheses.
    fn is_null(&mut self, left: Node) -> Result<Result<Node, Node>, Fault> {
        let (Node::Name(name), Kind::Name(_)) = (left, &self.tokens[self.position - 1].kind) else {
            return Err(self.unexpected("AND, OR, or the end"));
        };
        self.position += 1;
        let not = self.accept(&Kind::Not);
        self.expect(&Kind::Null, if not { "NULL" } else { "NULL or NOT NULL" })?;
        let node = Node::IsNull(name);
        Ok(Ok(if not { Node::Not(Box::new(node)) } else { node }))
    }

    fn signed(&mut self) -> Result<(Node, Level), Fault> {
        if self.accept(&Kind::Plus) {
            return Ok((Node::Plus(Box::new(self.primary()?)), Level::Sign));
        }
        if self.accept(&Kind::Minus) {
            return Ok((Node::Minus(Box::new(self.primary()?)), Level::Sign));
        }
        Ok((self.primary()?, Level::Primary))
    }

    fn primary(&mut self) -> Result<Node, Fault> {
        let node = match self.kind() {
            Some(Kind::Boolean(boolean)) => Node::Boolean(*boolean),
            Some(Kind::Integer(integer)) => Node::Integer(integer.clone()),
            Some(Kind::Float(float)) => Node::Float(*float),
            Some(Kind::Text(text)) => Node::Text(text.clone()),
            Some(Kind::Binary(bytes)) => Node::Binary(bytes.clone()),
            Some(Kind::Name(name)) => Node::Name(Identifier::clone(name)),
            Some(Kind::Utc) => {
                self.position += 1;
                self.expect(&Kind::Open, "()")?;
                self.expect(&Kind::Close, ")")?;
                return Ok(Node::Utc);
            }
            Some(Kind::Open) => {
                self.open.push(self.at());
                self.position += 1;
                let (node, level) = self.expression(Level::Or)?;
                self.expect(&Kind::Close, self.continuation(level))?;
                self.open.pop();
                return Ok(node);
            }
            _ => return Err(self.unexpected(VALUE)),
        };
        self.position += 1;
        Ok(node)
    }
}

fn binary(kind: &Kind, left: Node, right: Node) -> Node {
    let (left, right) = (Box::new(left), Box::new(right));
    match kind {
        Kind::Or => Node::Or(left, right),
        Kind::And => Node::And(left, right),
        Kind::Plus => Node::Arithmetic(Operator::Add, left, right),
        Kind::Minus => Node::Arithmetic(Operator::Subtract, left, right),
        Kind::Star => Node::Arithmetic(Operator::Multiply, left, right),
        Kind::Slash => Node::Arithmetic(Operator::Divide, left, right),
        _ => Node::Arithmetic(Operator::Remainder, left, right),
    }
}
