//! Keeps deeply nested messages away from the decoder.
//!
//! The decoder of fe2o3-amqp 0.18 calls itself once per level of nesting, without a
//! limit: a message of 9 kB that holds a list in a list a thousand times overflows
//! the stack, and that ends the process. Any tenant can send one, so whoever reads
//! tenants' messages (peek, redrive, events that carry a client's properties) must
//! not decode it. The library gives no access to the bytes of a message, so they are
//! followed here, as they come from the network. From where a message nests too
//! deeply, or contradicts itself about its lengths, it is overwritten in place with a
//! byte that no value begins with. Decoding then fails for this one message, which
//! can be settled, and nothing else notices.
//!
//! One more fault of the decoder is handled here, since this is where it can be: it
//! fails on arrays of maps, and RabbitMQ puts one (`x-opt-deaths`) into the message
//! annotations of every dead-lettered message. There an array becomes a binary with
//! the same bytes. What it said is in `x-first-death-*` and `x-last-death-*` too.

use std::collections::HashMap;

/// Levels of lists, maps, arrays and described values. Real messages have fewer than ten.
const MAX_DEPTH: usize = 48;
/// No value begins with this byte, and it is no text either.
const POISON: u8 = 0xff;

const SMALL_ULONG: u8 = 0x53;
const MESSAGE_ANNOTATIONS: u8 = 0x72;

const FRAME_HEADER: usize = 8;
const TRANSFER: u8 = 0x14;
/// A transfer performative is some dozens of bytes; a longer one is not understood.
const MAX_PERFORMATIVE: usize = 4096;

/// Follows the frames that the peer sends.
#[derive(Debug)]
pub(super) struct Guard {
    state: Frames,
    /// Deliveries of which more frames will come, by channel and link.
    unfinished: HashMap<(u16, u32), Walker>,
}

#[derive(Debug)]
enum Frames {
    /// Reading the eight bytes of a frame's header, or of a protocol header.
    Header { bytes: [u8; FRAME_HEADER], have: usize },
    /// Reading the performative, as far as it is needed.
    Performative { channel: u16, left: usize, bytes: Vec<u8> },
    /// Passing over the rest of a frame that is no transfer.
    Other { left: usize },
    /// Inside the payload of a transfer.
    Payload { key: (u16, u32), more: bool, left: usize, walker: Walker },
    /// The peer does not speak AMQP; the engine will say so.
    Lost,
}

impl Frames {
    fn start() -> Self {
        Self::Header { bytes: [0; FRAME_HEADER], have: 0 }
    }
}

impl Guard {
    pub(super) fn new() -> Self {
        Self { state: Frames::start(), unfinished: HashMap::new() }
    }

    /// Follows the next bytes, in pieces of any size, and changes what must not be decoded.
    pub(super) fn filter(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let used = self.step(bytes);
            bytes = &mut bytes[used..];
        }
    }

    /// Handles at least one byte and returns how many.
    fn step(&mut self, input: &mut [u8]) -> usize {
        match &mut self.state {
            Frames::Header { bytes, have } => {
                let used = input.len().min(FRAME_HEADER - *have);
                bytes[*have..*have + used].copy_from_slice(&input[..used]);
                *have += used;
                if *have == FRAME_HEADER {
                    self.state = after_header(*bytes);
                }
                used
            }
            Frames::Other { left } => {
                let used = input.len().min(*left);
                *left -= used;
                if *left == 0 {
                    self.state = Frames::start();
                }
                used
            }
            Frames::Performative { .. } => {
                self.performative(input[0]);
                1
            }
            Frames::Payload { key, more, left, walker } => {
                let used = input.len().min(*left);
                walker.walk(&mut input[..used]);
                *left -= used;
                if *left == 0 {
                    if *more {
                        self.unfinished.insert(*key, std::mem::take(walker));
                    }
                    self.state = Frames::start();
                }
                used
            }
            Frames::Lost => input.len(),
        }
    }

    fn performative(&mut self, byte: u8) {
        let Frames::Performative { channel, left, bytes } = &mut self.state else { return };
        bytes.push(byte);
        *left -= 1;
        let (channel, left) = (*channel, *left);
        let next = match Transfer::read(bytes) {
            Read::Incomplete if left > 0 && bytes.len() < MAX_PERFORMATIVE => return,
            Read::Incomplete | Read::Other if left == 0 => Frames::start(),
            Read::Incomplete | Read::Other => Frames::Other { left },
            Read::Transfer(Transfer { handle, more }) => {
                let key = (channel, handle);
                let walker = self.unfinished.remove(&key).unwrap_or_default();
                if left == 0 {
                    if more {
                        self.unfinished.insert(key, walker);
                    }
                    Frames::start()
                } else {
                    Frames::Payload { key, more, left, walker }
                }
            }
        };
        self.state = next;
    }
}

fn after_header(bytes: [u8; FRAME_HEADER]) -> Frames {
    if bytes.starts_with(b"AMQP") {
        return Frames::start();
    }
    let [s0, s1, s2, s3, data_offset, kind, c0, c1] = bytes;
    let size = usize::try_from(u32::from_be_bytes([s0, s1, s2, s3])).unwrap_or(usize::MAX);
    match size.checked_sub(FRAME_HEADER) {
        None => Frames::Lost,
        Some(0) => Frames::start(),
        // Nobody uses the extended header; a frame that has one is passed over as a whole.
        Some(left) if kind != 0 || data_offset != 2 => Frames::Other { left },
        Some(left) => Frames::Performative { channel: u16::from_be_bytes([c0, c1]), left, bytes: Vec::new() },
    }
}

enum Read {
    Incomplete,
    /// Something else than a transfer.
    Other,
    Transfer(Transfer),
}

/// What is needed of a transfer performative.
struct Transfer {
    handle: u32,
    more: bool,
}

impl Transfer {
    /// Reads `00 53 14 <list>`.
    fn read(bytes: &[u8]) -> Read {
        match bytes {
            [0x00, 0x53, TRANSFER, 0xc0, size, rest @ ..] => Self::fields(usize::from(*size), 1, rest),
            [0x00, 0x53, TRANSFER, 0xd0, s0, s1, s2, s3, rest @ ..] => {
                let size = usize::try_from(u32::from_be_bytes([*s0, *s1, *s2, *s3])).unwrap_or(usize::MAX);
                Self::fields(size, 4, rest)
            }
            [] | [0x00] | [0x00, 0x53] | [0x00, 0x53, TRANSFER] | [0x00, 0x53, TRANSFER, 0xc0 | 0xd0, ..] => Read::Incomplete,
            _ => Read::Other,
        }
    }

    fn fields(size: usize, count_width: usize, list: &[u8]) -> Read {
        if list.len() < size {
            return Read::Incomplete;
        }
        let mut fields = list.get(count_width..size).unwrap_or_default();
        let mut next = || {
            let (code, rest) = fields.split_first()?;
            let (value, after) = rest.split_at_checked(width(*code, rest)?)?;
            fields = after;
            Some((*code, value))
        };
        let handle = match next() {
            Some((0x43, [])) => 0,
            Some((0x52, [value])) => u32::from(*value),
            Some((0x70, [a, b, c, d])) => u32::from_be_bytes([*a, *b, *c, *d]),
            _ => return Read::Other,
        };
        // Between the handle and `more`: delivery-id, delivery-tag, message-format, settled.
        for _ in 0..4 {
            next();
        }
        Read::Transfer(Self { handle, more: matches!(next(), Some((0x41, _) | (0x56, [1]))) })
    }
}

/// Bytes after the constructor of a simple value, its length included.
fn width(code: u8, rest: &[u8]) -> Option<usize> {
    Some(match code >> 4 {
        4 => 0,
        5 => 1,
        6 => 2,
        7 => 4,
        8 => 8,
        9 => 16,
        0xa | 0xc | 0xe => 1 + usize::from(*rest.first()?),
        0xb | 0xd | 0xf => {
            let length = rest.first_chunk::<4>()?;
            usize::try_from(u32::from_be_bytes(*length)).ok()?.checked_add(4)?
        }
        _ => return None,
    })
}

/// Follows one encoded message, iteratively.
#[derive(Debug, Default)]
struct Walker {
    open: Vec<Open>,
    state: State,
    /// Bytes of this delivery handled so far.
    position: u64,
    /// Descriptor of the section this is in; 0 if not known.
    section: u8,
}

/// A value that contains others and is not over.
#[derive(Debug)]
struct Open {
    /// Values still to come in it.
    left: u64,
    /// Where it ends, by its own size. A described value has none.
    end: Option<u64>,
    /// The constructor all elements of an array share.
    element: Option<u8>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Constructor,
    /// The constructor shared by the elements of an array follows.
    Element,
    /// Reading a length, or a size and a count.
    Lengths { code: u8, bytes: [u8; 8], have: usize },
    /// The descriptor of a section follows.
    Section,
    /// Inside a simple value.
    Skip(u64),
    /// From here on nothing may be decoded.
    Poisoned,
}

/// The message cannot be followed or nests too deeply.
struct Refused;

impl Walker {
    fn walk(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let used = self.step(bytes).unwrap_or_else(|Refused| {
                self.poison();
                0
            });
            bytes = &mut bytes[used..];
            self.position += used as u64;
        }
    }

    fn poison(&mut self) {
        self.state = State::Poisoned;
        self.open = Vec::new();
    }

    /// Handles some bytes and returns how many; none if they are refused.
    fn step(&mut self, input: &mut [u8]) -> Result<usize, Refused> {
        match &mut self.state {
            State::Poisoned => {
                input.fill(POISON);
                Ok(input.len())
            }
            State::Skip(left) => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= used as u64;
                if *left == 0 {
                    self.position += used as u64;
                    // These bytes may have gone on already, in another piece; what follows has not.
                    if self.done().is_err() {
                        self.poison();
                    }
                    self.position -= used as u64;
                }
                Ok(used)
            }
            State::Constructor => {
                self.fits(1)?;
                if self.section == MESSAGE_ANNOTATIONS {
                    input[0] = without_array(input[0]);
                }
                let code = input[0];
                self.one_byte(|walker| walker.constructor(code))
            }
            State::Section => {
                self.section = input[0];
                self.one_byte(Self::done)
            }
            State::Element => self.one_byte(|walker| {
                walker.fits(0)?;
                let code = input[0];
                // Described elements are possible and unheard of.
                if code == 0x00 {
                    return Err(Refused);
                }
                if let Some(array) = walker.open.last_mut() {
                    array.element = Some(code);
                    // Elements without bytes can be billions.
                    if code >> 4 == 4 {
                        array.left = 1;
                    }
                }
                walker.next()
            }),
            State::Lengths { code, bytes, have } => {
                bytes[*have] = input[0];
                *have += 1;
                let (code, bytes, have) = (*code, *bytes, *have);
                if !long_enough(code, &bytes[..have]) {
                    return Err(Refused);
                }
                self.one_byte(|walker| if have == lengths(code) { walker.measured(code, bytes) } else { Ok(()) })
            }
        }
    }

    /// Runs `then` as of the position after one byte.
    fn one_byte(&mut self, then: impl FnOnce(&mut Self) -> Result<(), Refused>) -> Result<usize, Refused> {
        self.position += 1;
        let result = then(self);
        self.position -= 1;
        result.map(|()| 1)
    }

    /// A constructor has been read where a value is expected.
    fn constructor(&mut self, code: u8) -> Result<(), Refused> {
        match self.open.as_slice() {
            [] => self.section = 0,
            // The first of the two values of a described value that nothing contains: which section this is.
            [Open { left: 2, .. }] if code == SMALL_ULONG => {
                self.state = State::Section;
                return Ok(());
            }
            _ => {}
        }
        self.begin(code)
    }

    /// A value with this constructor begins; its bytes follow.
    fn begin(&mut self, code: u8) -> Result<(), Refused> {
        match code {
            0x00 => self.enter(Open { left: 2, end: None, element: None }),
            0x40..=0x4f => self.done(),
            0x50..=0x9f => self.skip(match code >> 4 {
                5 => 1,
                6 => 2,
                7 => 4,
                8 => 8,
                _ => 16,
            }),
            0xa0..=0xff => {
                self.fits(lengths(code) as u64)?;
                self.state = State::Lengths { code, bytes: [0; 8], have: 0 };
                Ok(())
            }
            _ => Err(Refused),
        }
    }

    /// The lengths of a value have been read.
    fn measured(&mut self, code: u8, bytes: [u8; 8]) -> Result<(), Refused> {
        let [s0, s1, s2, s3, c0, c1, c2, c3] = bytes;
        let long_size = u64::from(u32::from_be_bytes([s0, s1, s2, s3]));
        let (size, count, count_width) = match code >> 4 {
            0xa => (u64::from(s0), 0, 0),
            0xb => (long_size, 0, 0),
            0xc | 0xe => (u64::from(s0), u64::from(s1), 1),
            _ => (long_size, u64::from(u32::from_be_bytes([c0, c1, c2, c3])), 4),
        };
        // The size counts the count's own bytes.
        let content = size.checked_sub(count_width).ok_or(Refused)?;
        if code < 0xc0 {
            return self.skip(content);
        }
        let end = Some(self.position + content);
        self.fits(content)?;
        match code >> 4 {
            // An empty array may leave out the constructor of the elements it has not.
            _ if count == 0 && content == 0 => self.done(),
            0xe | 0xf => {
                self.enter(Open { left: count, end, element: None })?;
                self.state = State::Element;
                Ok(())
            }
            _ if count == 0 => Err(Refused),
            // The decoder takes keys and values away from the count in pairs, without looking.
            _ if matches!(code, 0xc1 | 0xd1) && count % 2 == 1 => Err(Refused),
            _ => self.enter(Open { left: count, end, element: None }),
        }
    }

    fn enter(&mut self, open: Open) -> Result<(), Refused> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Refused);
        }
        self.open.push(open);
        self.state = State::Constructor;
        Ok(())
    }

    fn skip(&mut self, length: u64) -> Result<(), Refused> {
        self.fits(length)?;
        if length == 0 {
            return self.done();
        }
        self.state = State::Skip(length);
        Ok(())
    }

    /// A value must not reach beyond the one that contains it: the decoder might read
    /// on elsewhere than this walker.
    fn fits(&self, length: u64) -> Result<(), Refused> {
        let end = self.open.iter().rev().find_map(|open| open.end);
        if end.is_some_and(|end| self.position + length > end) { Err(Refused) } else { Ok(()) }
    }

    /// A value is over, and with it perhaps those that contain it.
    fn done(&mut self) -> Result<(), Refused> {
        while let Some(open) = self.open.last_mut() {
            open.left = open.left.saturating_sub(1);
            if open.left > 0 {
                break;
            }
            if open.end.is_some_and(|end| end != self.position) {
                return Err(Refused);
            }
            self.open.pop();
        }
        self.next()
    }

    /// What follows a value: another constructor, or at once the bytes of the next element.
    fn next(&mut self) -> Result<(), Refused> {
        match self.open.last() {
            Some(Open { left: 0, .. }) => {
                // An array without elements: done() must not count one that never was.
                if let Some(array) = self.open.last_mut() {
                    array.left = 1;
                }
                self.done()
            }
            Some(Open { element: Some(code), .. }) => {
                let code = *code;
                self.begin(code)
            }
            _ => {
                self.state = State::Constructor;
                Ok(())
            }
        }
    }
}

/// Array and binary are laid out alike: constructor, length, bytes.
fn without_array(code: u8) -> u8 {
    match code {
        0xe0 => 0xa0,
        0xf0 => 0xb0,
        other => other,
    }
}

/// Whether a size covers at least the count behind it. The decoder subtracts without
/// looking, so a size that does not must be overwritten while it can be.
fn long_enough(code: u8, size: &[u8]) -> bool {
    match (code >> 4, size) {
        (0xc | 0xe, [size]) => *size >= 1,
        (0xd | 0xf, [s0, s1, s2, s3]) => u32::from_be_bytes([*s0, *s1, *s2, *s3]) >= 4,
        _ => true,
    }
}

/// Bytes of length, or of size and count.
fn lengths(code: u8) -> usize {
    match code >> 4 {
        0xa => 1,
        0xb => 4,
        0xc | 0xe => 2,
        _ => 8,
    }
}

#[cfg(test)]
#[path = "nesting_tests.rs"]
mod tests;
