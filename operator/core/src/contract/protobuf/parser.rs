//! From a .proto file to what is in it. Options are read where they matter for compatibility, else passed over.

use std::collections::BTreeMap;

use super::file::{Enum, Field, File, Label, Message, Reserved, Syntax, Type};
use super::lexer::{Kind, Token, tokens};
use crate::contract::SchemaError;

/// Deepest nesting of messages, and of what is in braces in an option.
const MAX_NESTING: usize = 32;
const MAX_NUMBER: i64 = 536_870_911;

const SCALARS: [&str; 15] = [
    "double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64",
    "bool", "string", "bytes",
];

type Parsed<T> = Result<T, SchemaError>;

pub fn parse(text: &str) -> Parsed<File> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        file: File {
            syntax: Syntax::Proto2,
            package: String::new(),
            imports: false,
            messages: BTreeMap::new(),
            enums: BTreeMap::new(),
        },
    };
    parser.file()?;
    Ok(parser.file)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    file: File,
}

/// What an option may say of a field or an enum.
#[derive(Default)]
struct Options {
    json_name: Option<String>,
    default: Option<String>,
}

impl Parser {
    fn token(&self) -> &Token {
        // The last one is the end, and nobody steps beyond it.
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn next(&mut self) -> Token {
        let token = self.token().clone();
        self.at += 1;
        token
    }

    fn is(&self, symbol: char) -> bool {
        self.token().kind == Kind::Symbol(symbol)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(&self.token().kind, Kind::Name(name) if name == word)
    }

    fn take(&mut self, symbol: char) -> bool {
        let there = self.is(symbol);
        self.at += usize::from(there);
        there
    }

    fn take_word(&mut self, word: &str) -> bool {
        let there = self.is_word(word);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, symbol: char) -> Parsed<()> {
        if self.take(symbol) { Ok(()) } else { Err(self.token().wrong(format!("expected {symbol:?}"))) }
    }

    fn name(&mut self) -> Parsed<String> {
        let token = self.next();
        match token.kind {
            Kind::Name(name) => Ok(name),
            _ => Err(token.wrong("expected a name")),
        }
    }

    fn simple_name(&mut self) -> Parsed<String> {
        let token = self.token().clone();
        let name = self.name()?;
        if name.contains('.') { Err(token.wrong(format!("{name} has a dot in it"))) } else { Ok(name) }
    }

    fn integer(&mut self) -> Parsed<i64> {
        let negative = self.take('-');
        let token = self.next();
        match token.kind {
            Kind::Integer(number) => Ok(if negative { -number } else { number }),
            _ => Err(token.wrong("expected an integer")),
        }
    }

    fn text(&mut self) -> Parsed<String> {
        let token = self.next();
        match token.kind {
            Kind::Text(text) => Ok(text),
            _ => Err(token.wrong("expected a text in quotes")),
        }
    }

    fn file(&mut self) -> Parsed<()> {
        loop {
            let token = self.token().clone();
            match &token.kind {
                Kind::End => return Ok(()),
                Kind::Symbol(';') => self.at += 1,
                Kind::Name(word) => {
                    self.at += 1;
                    match word.as_str() {
                        "syntax" => self.syntax(&token)?,
                        "edition" => return Err(token.wrong("editions are not read: write it in proto2 or proto3")),
                        "package" => {
                            self.file.package = self.name()?;
                            self.expect(';')?;
                        }
                        "import" => {
                            self.file.imports = true;
                            self.skip(';', 0)?;
                        }
                        "option" => self.skip(';', 0)?,
                        "message" => self.message("", 0)?,
                        "enum" => self.enumeration("")?,
                        "extend" => self.extend(0)?,
                        "service" => {
                            self.name()?;
                            self.expect('{')?;
                            self.skip('}', 0)?;
                        }
                        _ => return Err(token.wrong(format!("{word} does not start a declaration"))),
                    }
                }
                _ => return Err(token.wrong("expected a declaration")),
            }
        }
    }

    fn syntax(&mut self, token: &Token) -> Parsed<()> {
        self.expect('=')?;
        self.file.syntax = match self.text()?.as_str() {
            "proto2" => Syntax::Proto2,
            "proto3" => Syntax::Proto3,
            other => return Err(token.wrong(format!("syntax {other:?} is neither proto2 nor proto3"))),
        };
        self.expect(';')
    }

    /// Passes over everything up to a symbol, and over what is in braces and brackets.
    fn skip(&mut self, until: char, nesting: usize) -> Parsed<()> {
        loop {
            let token = self.next();
            match token.kind {
                Kind::Symbol(symbol) if symbol == until => return Ok(()),
                Kind::Symbol(open @ ('{' | '[' | '(')) if nesting < MAX_NESTING => {
                    let close = match open {
                        '{' => '}',
                        '[' => ']',
                        _ => ')',
                    };
                    self.skip(close, nesting + 1)?;
                }
                Kind::Symbol('{' | '[' | '(') => return Err(token.wrong(format!("nested deeper than {MAX_NESTING}"))),
                Kind::End | Kind::Symbol('}' | ']' | ')') => return Err(token.wrong(format!("expected {until:?}"))),
                _ => {}
            }
        }
    }

    fn extend(&mut self, nesting: usize) -> Parsed<()> {
        let name = format!("extend {}", self.name()?);
        let mut message = self.file.messages.remove(&name).unwrap_or_default();
        self.expect('{')?;
        self.body(&name, &mut message, nesting)?;
        self.file.messages.insert(name, message);
        Ok(())
    }

    fn message(&mut self, outer: &str, nesting: usize) -> Parsed<()> {
        let token = self.token().clone();
        if nesting >= MAX_NESTING {
            return Err(token.wrong(format!("messages nested deeper than {MAX_NESTING}")));
        }
        let name = within(outer, &self.simple_name()?);
        self.expect('{')?;
        let mut message = Message::default();
        self.body(&name, &mut message, nesting)?;
        check_reserved(&message, &token)?;
        if self.file.messages.insert(name.clone(), message).is_some() || self.file.enums.contains_key(&name) {
            return Err(token.wrong(format!("{name} is defined twice")));
        }
        Ok(())
    }

    fn body(&mut self, name: &str, message: &mut Message, nesting: usize) -> Parsed<()> {
        while !self.take('}') {
            if self.take(';') {
                continue;
            }
            let named = |parser: &Self, at: usize| {
                matches!(parser.tokens.get(parser.at + at).map(|token| &token.kind), Some(Kind::Name(_)))
            };
            // Keywords are names as well: `message` may be a field's type only if no name and brace follow.
            let opens = |parser: &Self| {
                named(parser, 1) && parser.tokens.get(parser.at + 2).is_some_and(|token| token.kind == Kind::Symbol('{'))
            };
            if self.is_word("message") && opens(self) {
                self.at += 1;
                self.message(name, nesting + 1)?;
            } else if self.is_word("enum") && opens(self) {
                self.at += 1;
                self.enumeration(name)?;
            } else if self.is_word("extend") && opens(self) {
                self.at += 1;
                if nesting >= MAX_NESTING {
                    return Err(self.token().wrong(format!("nested deeper than {MAX_NESTING}")));
                }
                self.extend(nesting + 1)?;
            } else if self.is_word("oneof") && opens(self) {
                self.at += 1;
                let oneof = self.simple_name()?;
                self.expect('{')?;
                while !self.take('}') {
                    if self.take_word("option") {
                        self.skip(';', 0)?;
                    } else if !self.take(';') {
                        self.field(name, message, Some(&oneof), nesting)?;
                    }
                }
            } else if self.take_word("option") {
                // A field `option x = 1`, of a type of that name, looks the same: options are common.
                self.skip(';', 0)?;
            } else if self.take_word("reserved") {
                self.reserved(&mut message.reserved, MAX_NUMBER)?;
            } else if self.is_word("extensions") && !named(self, 1) {
                self.at += 1;
                self.skip(';', 0)?;
            } else {
                self.field(name, message, None, nesting)?;
            }
        }
        Ok(())
    }

    fn reserved(&mut self, reserved: &mut Reserved, max: i64) -> Parsed<()> {
        loop {
            if let Kind::Text(name) = &self.token().kind {
                reserved.names.insert(name.clone());
                self.at += 1;
            } else {
                let from = self.integer()?;
                let to = if self.take_word("to") { if self.take_word("max") { max } else { self.integer()? } } else { from };
                reserved.numbers.push((from, to));
            }
            if !self.take(',') {
                return self.expect(';');
            }
        }
    }

    fn field(&mut self, outer: &str, message: &mut Message, oneof: Option<&str>, nesting: usize) -> Parsed<()> {
        let token = self.token().clone();
        let label = self.label();
        let group =
            self.is_word("group") && !matches!(self.tokens.get(self.at + 1).map(|token| &token.kind), Some(Kind::Symbol('=')));
        let ty = if group {
            self.at += 1;
            Type::Group(String::new())
        } else {
            self.field_type()?
        };
        let mut name = self.simple_name()?;
        self.expect('=')?;
        let number = self.integer()?;
        let options = self.options()?;
        let ty = if group {
            let inner = within(outer, &name);
            name = name.to_ascii_lowercase();
            self.expect('{')?;
            if nesting >= MAX_NESTING {
                return Err(token.wrong(format!("nested deeper than {MAX_NESTING}")));
            }
            let mut body = Message::default();
            self.body(&inner, &mut body, nesting + 1)?;
            self.file.messages.insert(inner.clone(), body);
            Type::Group(inner)
        } else {
            self.expect(';')?;
            ty
        };
        if !(1..=MAX_NUMBER).contains(&number) || (19_000..=19_999).contains(&number) {
            return Err(token.wrong(format!("{number} is no number for a field: 1 to {MAX_NUMBER}, without 19000 to 19999")));
        }
        if self.file.syntax == Syntax::Proto3 && label == Label::Required {
            return Err(token.wrong("proto3 knows no required fields"));
        }
        if message.fields.values().any(|field| field.name == name) {
            return Err(token.wrong(format!("field {name} is there twice")));
        }
        let field = Field {
            name,
            number,
            label,
            ty,
            oneof: oneof.map(str::to_owned),
            json_name: options.json_name,
            default: options.default,
        };
        match message.fields.insert(number, field) {
            None => Ok(()),
            Some(other) => Err(token.wrong(format!("number {number} is that of {}, too", other.name))),
        }
    }

    fn label(&mut self) -> Label {
        for (word, label) in [("optional", Label::Singular), ("required", Label::Required), ("repeated", Label::Repeated)] {
            if self.is_word(word) && matches!(self.tokens.get(self.at + 1).map(|token| &token.kind), Some(Kind::Name(_))) {
                self.at += 1;
                return label;
            }
        }
        Label::Singular
    }

    fn field_type(&mut self) -> Parsed<Type> {
        if self.is_word("map") && matches!(self.tokens.get(self.at + 1).map(|token| &token.kind), Some(Kind::Symbol('<'))) {
            self.at += 2;
            let key = scalar_or_named(self.name()?);
            self.expect(',')?;
            let value = scalar_or_named(self.name()?);
            self.expect('>')?;
            return Ok(Type::Map(Box::new(key), Box::new(value)));
        }
        Ok(scalar_or_named(self.name()?))
    }

    fn options(&mut self) -> Parsed<Options> {
        let mut options = Options::default();
        if !self.take('[') {
            return Ok(options);
        }
        loop {
            let name = self.token().kind.clone();
            // The name of an option: `deprecated`, `(my.option).field`.
            while !self.is('=') {
                let token = self.next();
                if matches!(token.kind, Kind::End | Kind::Symbol(';' | ']')) {
                    return Err(token.wrong("expected '=' in an option"));
                }
            }
            self.at += 1;
            let value = self.value()?;
            match name {
                Kind::Name(name) if name == "json_name" => options.json_name = Some(value),
                Kind::Name(name) if name == "default" => options.default = Some(value),
                _ => {}
            }
            if !self.take(',') {
                self.expect(']')?;
                return Ok(options);
            }
        }
    }

    /// An option's value, as a text.
    fn value(&mut self) -> Parsed<String> {
        let mut value = String::new();
        while !self.is(',') && !self.is(']') {
            let token = self.next();
            match token.kind {
                Kind::Name(text) | Kind::Text(text) => value.push_str(&text),
                Kind::Integer(number) => value.push_str(&number.to_string()),
                Kind::Symbol('{') => self.skip('}', 0)?,
                Kind::Symbol('[') => self.skip(']', 0)?,
                Kind::Symbol(symbol @ ('-' | '+')) => value.push(symbol),
                _ => return Err(token.wrong("expected the value of an option")),
            }
        }
        Ok(value)
    }

    fn enumeration(&mut self, outer: &str) -> Parsed<()> {
        let token = self.token().clone();
        let name = within(outer, &self.simple_name()?);
        self.expect('{')?;
        let mut found = Enum::default();
        while !self.take('}') {
            if self.take(';') {
            } else if self.take_word("option") {
                let alias = self.is_word("allow_alias");
                let from = self.at;
                self.skip(';', 0)?;
                found.alias |= alias && self.tokens[from..self.at].iter().any(|token| token.kind == Kind::Name("true".into()));
            } else if self.take_word("reserved") {
                self.reserved(&mut found.reserved, i64::from(i32::MAX))?;
            } else {
                let token = self.token().clone();
                let value = self.simple_name()?;
                self.expect('=')?;
                let number = self.integer()?;
                self.options()?;
                self.expect(';')?;
                if i32::try_from(number).is_err() || found.values.iter().any(|(other, _)| *other == value) {
                    return Err(token.wrong(format!("{value} = {number} is there twice, or no number of 32 bits")));
                }
                found.values.push((value, number));
            }
        }
        self.check_enum(&found, &token)?;
        if self.file.enums.insert(name.clone(), found).is_some() || self.file.messages.contains_key(&name) {
            return Err(token.wrong(format!("{name} is defined twice")));
        }
        Ok(())
    }

    fn check_enum(&self, found: &Enum, token: &Token) -> Parsed<()> {
        let Some((first, number)) = found.values.first() else { return Err(token.wrong("an enum without values")) };
        if self.file.syntax == Syntax::Proto3 && *number != 0 {
            return Err(token.wrong(format!("the first value of an enum is 0 in proto3, {first} is {number}")));
        }
        let mut numbers = std::collections::HashSet::new();
        for (name, number) in &found.values {
            if !numbers.insert(*number) && !found.alias {
                return Err(token.wrong(format!("number {number} is there twice, without allow_alias")));
            }
            if found.reserved.has_number(*number) || found.reserved.names.contains(name) {
                return Err(token.wrong(format!("{name} = {number} has a number or a name that is reserved")));
            }
        }
        Ok(())
    }
}

fn scalar_or_named(name: String) -> Type {
    if SCALARS.contains(&name.as_str()) { Type::Scalar(name) } else { Type::Named(name) }
}

fn within(outer: &str, name: &str) -> String {
    if outer.is_empty() { name.to_owned() } else { format!("{outer}.{name}") }
}

fn check_reserved(message: &Message, token: &Token) -> Parsed<()> {
    for field in message.fields.values() {
        if message.reserved.has_number(field.number) || message.reserved.names.contains(&field.name) {
            return Err(token.wrong(format!("field {} = {} has a number or a name that is reserved", field.name, field.number)));
        }
    }
    Ok(())
}
