//! Names in a filter: keywords, reserved words, fields of the sections, property names.

use std::fmt;

use serde::Deserialize;

/// Words without a meaning that cannot be names of properties, in any case, unless in brackets.
const RESERVED: [&str; 9] = ["exists", "nan", "inf", "lower", "upper", "left", "right", "substring", "date"];

/// Words of the language, in capitals. In any other case they are reserved.
const KEYWORDS: [&str; 11] = ["AND", "OR", "NOT", "LIKE", "IN", "IS", "NULL", "ESCAPE", "TRUE", "FALSE", "UTC"];

/// A field of the properties section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// `message-id`: string, unsigned long, UUID or binary.
    MessageId,
    /// `user-id`: binary.
    UserId,
    /// `to`: string.
    To,
    /// `subject`: string.
    Subject,
    /// `reply-to`: string.
    ReplyTo,
    /// `correlation-id`: string, unsigned long, UUID or binary.
    CorrelationId,
    /// `content-type`: symbol.
    ContentType,
    /// `content-encoding`: symbol.
    ContentEncoding,
    /// `absolute-expiry-time`: milliseconds since 1970.
    AbsoluteExpiryTime,
    /// `creation-time`: milliseconds since 1970.
    CreationTime,
    /// `group-id`: string.
    GroupId,
    /// `group-sequence`: unsigned int.
    GroupSequence,
    /// `reply-to-group-id`: string.
    ReplyToGroupId,
}

impl Field {
    /// Every field.
    pub const ALL: [Self; 13] = [
        Self::MessageId,
        Self::UserId,
        Self::To,
        Self::Subject,
        Self::ReplyTo,
        Self::CorrelationId,
        Self::ContentType,
        Self::ContentEncoding,
        Self::AbsoluteExpiryTime,
        Self::CreationTime,
        Self::GroupId,
        Self::GroupSequence,
        Self::ReplyToGroupId,
    ];

    /// The name after `properties.`.
    pub fn name(self) -> &'static str {
        match self {
            Self::MessageId => "message_id",
            Self::UserId => "user_id",
            Self::To => "to",
            Self::Subject => "subject",
            Self::ReplyTo => "reply_to",
            Self::CorrelationId => "correlation_id",
            Self::ContentType => "content_type",
            Self::ContentEncoding => "content_encoding",
            Self::AbsoluteExpiryTime => "absolute_expiry_time",
            Self::CreationTime => "creation_time",
            Self::GroupId => "group_id",
            Self::GroupSequence => "group_sequence",
            Self::ReplyToGroupId => "reply_to_group_id",
        }
    }

    /// The field of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}

/// What a name in a filter stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identifier {
    /// `header.priority`.
    Priority,
    /// `properties.<field>`.
    Property(Field),
    /// An application property.
    Application(String),
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Priority => f.write_str("header.priority"),
            Self::Property(field) => write!(f, "properties.{}", field.name()),
            Self::Application(name) if is_plain(name) => f.write_str(name),
            Self::Application(name) => write!(f, "[{}]", name.replace('[', "[[").replace(']', "]]")),
        }
    }
}

/// Whether a name can stand without brackets.
pub(super) fn is_plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !is_reserved(name)
}

/// Whether a word is reserved, whatever its case.
pub(super) fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|reserved| word.eq_ignore_ascii_case(reserved)) || keyword(word).is_some()
}

/// The keyword that this word is in capitals.
pub(super) fn keyword(word: &str) -> Option<&'static str> {
    KEYWORDS.into_iter().find(|keyword| word.eq_ignore_ascii_case(keyword))
}

/// Neither names nor patterns may hold these.
pub(super) fn is_control(char: char) -> bool {
    char.is_ascii_control()
}
