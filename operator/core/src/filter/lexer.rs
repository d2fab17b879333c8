//! From text to tokens: at each place the longest token that fits, as the broker does it.

use num_bigint::BigInt;

use super::error::Fault;
use super::hints;
use super::names::{Field, Identifier, is_control, is_reserved};
use super::token::{Kind, Token};

/// All tokens of a text.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let mut lexer = Lexer { chars: text.chars().collect(), at: 0 };
    let mut tokens = Vec::new();
    while let Some(first) = lexer.skip_space() {
        let at = lexer.at;
        let kind = lexer.token(first)?;
        tokens.push(Token { kind, at });
    }
    Ok(tokens)
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
}

impl Lexer {
    fn skip_space(&mut self) -> Option<char> {
        while matches!(self.peek(0), Some(' ' | '\t' | '\x0c' | '\n' | '\r')) {
            self.at += 1;
        }
        self.peek(0)
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn token(&mut self, first: char) -> Result<Kind, Fault> {
        match first {
            'a'..='z' | 'A'..='Z' => self.word(),
            '0'..='9' => self.number(),
            '\'' | '"' => self.string(first),
            '[' => self.delimited(),
            _ => self.symbol(first),
        }
    }

    fn symbol(&mut self, first: char) -> Result<Kind, Fault> {
        let (kind, length) = match (first, self.peek(1)) {
            ('<', Some('>')) | ('!', Some('=')) => (Kind::NotEqual, 2),
            ('>', Some('=')) => (Kind::GreaterOrEqual, 2),
            ('<', Some('=')) => (Kind::LessOrEqual, 2),
            ('=', _) => (Kind::Equal, 1),
            ('>', _) => (Kind::Greater, 1),
            ('<', _) => (Kind::Less, 1),
            ('+', _) => (Kind::Plus, 1),
            ('-', _) => (Kind::Minus, 1),
            ('*', _) => (Kind::Star, 1),
            ('/', _) => (Kind::Slash, 1),
            ('%', _) => (Kind::Percent, 1),
            ('(', _) => (Kind::Open, 1),
            (')', _) => (Kind::Close, 1),
            (',', _) => (Kind::Comma, 1),
            (other, next) => {
                let problem = format!("the character {} has no meaning here", shown(other));
                return Err(Fault::new(self.at, problem).hint(hints::character(other, next)));
            }
        };
        self.at += length;
        Ok(kind)
    }

    /// How many of the characters from here on satisfy the test.
    fn run(&self, from: usize, test: impl Fn(char) -> bool) -> usize {
        self.chars[(self.at + from).min(self.chars.len())..].iter().take_while(|char| test(**char)).count()
    }

    fn take(&mut self, length: usize) -> String {
        let end = self.at + length;
        let text = self.chars[self.at..end].iter().collect();
        self.at = end;
        text
    }

    /// A keyword, a plain name, or a name with its section.
    fn word(&mut self) -> Result<Kind, Fault> {
        let at = self.at;
        let section = self.run(0, |char| char.is_ascii_alphabetic() || char == '_' || char == '-');
        if self.peek(section) == Some('.') && self.peek(section + 1).is_some_and(|char| char.is_ascii_alphabetic()) {
            let section = self.take(section);
            self.at += 1;
            let field = self.plain();
            let next = self.peek(0);
            return sectioned(&section, &field).map(Kind::Name).ok_or_else(|| hints::unknown_field(at, &section, &field, next));
        }
        let word = self.plain();
        if let Some(keyword) = Kind::keyword(&word) {
            return Ok(keyword);
        }
        if is_reserved(&word) {
            return Err(hints::reserved(at, &word));
        }
        Ok(Kind::Name(Identifier::Application(word)))
    }

    fn plain(&mut self) -> String {
        self.take(self.run(0, |char| char.is_ascii_alphanumeric() || char == '_'))
    }

    fn number(&mut self) -> Result<Kind, Fault> {
        if let Some(binary) = self.binary() {
            return Ok(Kind::Binary(binary));
        }
        let at = self.at;
        let whole = self.run(0, |char| char.is_ascii_digit());
        let fraction = if self.peek(whole) == Some('.') { self.run(whole + 1, |char| char.is_ascii_digit()) } else { 0 };
        if fraction == 0 {
            let digits = self.take(whole);
            // Digits alone always are a number.
            return digits.parse::<BigInt>().map(Kind::Integer).map_err(|error| Fault::new(at, error.to_string()));
        }
        let mantissa = whole + 1 + fraction;
        let text = self.take(mantissa + self.exponent(mantissa));
        match text.parse::<f64>() {
            Ok(float) if float.is_finite() => Ok(Kind::Float(float)),
            _ => {
                Err(Fault::new(at, "the number is too large for a floating-point number").hint("at most 1.7976931348623157E308"))
            }
        }
    }

    fn exponent(&self, from: usize) -> usize {
        if self.peek(from) != Some('E') {
            return 0;
        }
        let sign = usize::from(matches!(self.peek(from + 1), Some('+' | '-')));
        match self.run(from + 1 + sign, |char| char.is_ascii_digit()) {
            0 => 0,
            digits => 1 + sign + digits,
        }
    }

    /// `0x` and pairs of digits. Without a whole pair it is the number 0, and what follows is something else.
    fn binary(&mut self) -> Option<Vec<u8>> {
        if self.peek(0) != Some('0') || self.peek(1) != Some('x') {
            return None;
        }
        let digits = self.run(2, |char| char.is_ascii_digit() || ('A'..='F').contains(&char)) / 2 * 2;
        if digits == 0 {
            return None;
        }
        let text = self.take(2 + digits);
        (2..text.len()).step_by(2).map(|pair| u8::from_str_radix(&text[pair..pair + 2], 16).ok()).collect()
    }

    /// A string between quotes of either kind; the same quote inside is written twice.
    fn string(&mut self, quote: char) -> Result<Kind, Fault> {
        let at = self.at;
        let mut text = String::new();
        self.at += 1;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(char), Some(next)) if char == quote && next == quote => self.at += 1,
                (Some(char), _) if char == quote => {
                    self.at += 1;
                    return Ok(Kind::Text(text));
                }
                (Some(_), _) => {}
                (None, _) => {
                    return Err(Fault::new(at, "the string that begins here does not end")
                        .hint(format!("end it with {quote}; inside a string that quote is written twice")));
                }
            }
            text.extend(self.peek(0));
            self.at += 1;
        }
    }

    /// A name between brackets; brackets inside are written twice.
    fn delimited(&mut self) -> Result<Kind, Fault> {
        let at = self.at;
        let mut name = String::new();
        self.at += 1;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('['), Some('[')) | (Some(']'), Some(']')) => self.at += 1,
                (Some(']'), _) => break,
                (None | Some('['), _) => {
                    return Err(Fault::new(at, "the name that begins here does not end")
                        .hint("end it with ]; inside a name brackets are written twice"));
                }
                _ => {}
            }
            name.extend(self.peek(0));
            self.at += 1;
        }
        self.at += 1;
        if name.chars().any(is_control) {
            return Err(Fault::new(at, "the name has a control character, such as a line break"));
        }
        Ok(Kind::Name(Identifier::Application(name)))
    }
}

fn sectioned(section: &str, field: &str) -> Option<Identifier> {
    match section {
        "header" | "h" => (field == "priority").then_some(Identifier::Priority),
        "properties" | "p" => Field::named(field).map(Identifier::Property),
        "application_properties" | "a" => Some(Identifier::Application(field.to_owned())),
        _ => None,
    }
}

fn shown(char: char) -> String {
    if char.is_control() || char.is_whitespace() { format!("U+{:04X}", u32::from(char)) } else { char.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        tokens(text).unwrap().into_iter().map(|token| token.kind).collect()
    }

    fn application(name: &str) -> Kind {
        Kind::Name(Identifier::Application(name.to_owned()))
    }

    #[test]
    fn the_longest_token_wins() {
        assert_eq!(kinds("a>=1"), [application("a"), Kind::GreaterOrEqual, Kind::Integer(1.into())]);
        assert_eq!(kinds("1AND"), [Kind::Integer(1.into()), Kind::And]);
        assert_eq!(kinds("ANDROID"), [application("ANDROID")]);
        assert_eq!(kinds("1.5E"), [Kind::Float(1.5), application("E")]);
        assert_eq!(kinds("1.5E+2"), [Kind::Float(150.0)]);
        assert_eq!(kinds("1E2"), [Kind::Integer(1.into()), application("E2")]);
        assert_eq!(kinds("a-b"), [application("a"), Kind::Minus, application("b")]);
        assert_eq!(kinds("0xAB5"), [Kind::Binary(vec![0xab]), Kind::Integer(5.into())]);
        assert_eq!(kinds("0xab"), [Kind::Integer(0.into()), application("xab")]);
    }

    #[test]
    fn a_minus_before_a_section_belongs_to_its_name() {
        assert_eq!(tokens("x-p.subject").unwrap_err().at, 0);
        assert_eq!(kinds("x -p.subject").len(), 3);
    }

    #[test]
    fn quotes_and_brackets_are_doubled_inside() {
        assert_eq!(kinds("'it''s' \"a\"\"b'\""), [Kind::Text("it's".to_owned()), Kind::Text("a\"b'".to_owned())]);
        assert_eq!(kinds("[a]]b[[c] [] []]]"), [application("a]b[c"), application(""), application("]")]);
    }

    #[test]
    fn what_does_not_end_is_told_from_its_beginning() {
        for (text, at) in [("a = 'b", 4), ("a = 'b''", 4), ("a = \"b", 4), ("[a", 0), ("[a[b]", 0), ("a = [b]]", 4)] {
            assert_eq!(tokens(text).unwrap_err().at, at, "{text}");
        }
    }

    #[test]
    fn sections_have_short_names() {
        assert_eq!(
            kinds("h.priority p.to a.not application_properties.x"),
            [Kind::Name(Identifier::Priority), Kind::Name(Identifier::Property(Field::To)), application("not"), application("x"),]
        );
    }

    #[test]
    fn a_float_has_a_largest_value_and_no_smallest() {
        assert!(tokens("1.0E309").is_err());
        assert_eq!(kinds("1.0E-999"), [Kind::Float(0.0)]);
    }
}
