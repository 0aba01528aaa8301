//! What a model says, and how it says it.

use std::collections::VecDeque;
use std::fmt::Display;

use bytes::Bytes;
use rocketmq_core::ids::Opaque;
use rocketmq_core::wire::header::{FLAG_ONEWAY, FLAG_RESPONSE, Language, Preamble};
use rocketmq_core::wire::{Codec, ExtFields, ExtWriter, Frame, Header};

use super::config::ReplyCodec;

/// One connection to one server; the owner of the model numbers them and never reuses a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// What a model wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write this frame to the session.
    Frame(SessionId, Bytes),
    /// Close the session; `closed` is not called back for it.
    Close(SessionId),
}

/// An answer before it is encoded.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) code: i32,
    remark: Option<String>,
    fields: ExtFields,
    body: Bytes,
}

impl Reply {
    pub(crate) fn of(code: i32) -> Self {
        Self { code, remark: None, fields: ExtFields::default(), body: Bytes::new() }
    }

    pub(crate) fn ok() -> Self {
        Self::of(0)
    }

    pub(crate) fn error(code: i32, remark: impl Into<String>) -> Self {
        Self::of(code).remark(remark)
    }

    pub(crate) fn remark(self, remark: impl Into<String>) -> Self {
        Self { remark: Some(remark.into()), ..self }
    }

    pub(crate) fn field(mut self, key: &str, value: impl Display) -> Self {
        self.fields.push(key, &value.to_string());
        self
    }

    pub(crate) fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }
}

/// To whom and how to answer a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReplyTo {
    session: SessionId,
    opaque: Opaque,
    codec: Codec,
    oneway: bool,
}

impl ReplyTo {
    pub(crate) fn request(session: SessionId, header: &Header) -> Self {
        Self { session, opaque: header.opaque, codec: header.codec, oneway: header.is_oneway() }
    }

    pub(crate) fn session(&self) -> SessionId {
        self.session
    }
}

/// The outputs that wait to be polled.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: VecDeque<Output>,
    version: i32,
    codec: ReplyCodec,
    next_opaque: i32,
}

impl Outbox {
    pub(crate) fn new(version: i32, codec: ReplyCodec) -> Self {
        Self { queue: VecDeque::new(), version, codec, next_opaque: 0 }
    }

    pub(crate) fn reply(&mut self, to: ReplyTo, reply: &Reply) {
        if to.oneway {
            return;
        }
        let codec = match self.codec {
            ReplyCodec::Json => Codec::Json,
            ReplyCodec::AsRequest => to.codec,
        };
        let preamble = Preamble {
            code: reply.code,
            flags: FLAG_RESPONSE,
            language: Language::JAVA,
            version: self.version,
            remark: reply.remark.as_deref(),
            codec,
        };
        let fields = |out: &mut ExtWriter<'_>| reply.fields.iter().for_each(|(key, value)| out.text(key, value));
        let frame = preamble.encode(fields, reply.body.clone());
        self.queue.push_back(Output::Frame(to.session, frame.to_bytes(to.opaque)));
    }

    /// Passes on what a client answered, as it said it.
    pub(crate) fn relay(&mut self, to: ReplyTo, frame: &Frame) {
        if to.oneway {
            return;
        }
        let Header { code, language, version, remark, ext, .. } = &frame.header;
        let preamble = Preamble {
            code: *code,
            flags: FLAG_RESPONSE,
            language: *language,
            version: *version,
            remark: remark.as_deref(),
            codec: Codec::Json,
        };
        let fields = |out: &mut ExtWriter<'_>| ext.iter().for_each(|(key, value)| out.text(key, value));
        let frame = preamble.encode(fields, frame.body.clone());
        self.queue.push_back(Output::Frame(to.session, frame.to_bytes(to.opaque)));
    }

    /// Sends a request of the server's own that nobody answers.
    pub(crate) fn oneway(
        &mut self,
        session: SessionId,
        code: i32,
        body: Bytes,
        fields: impl FnOnce(&mut ExtWriter<'_>),
    ) {
        self.ask(session, code, FLAG_ONEWAY, body, fields);
    }

    /// Sends a request of the server's own; the answer has this opaque.
    pub(crate) fn request(
        &mut self,
        session: SessionId,
        code: i32,
        body: Bytes,
        fields: impl FnOnce(&mut ExtWriter<'_>),
    ) -> i32 {
        self.ask(session, code, 0, body, fields)
    }

    fn ask(
        &mut self,
        session: SessionId,
        code: i32,
        flags: i32,
        body: Bytes,
        fields: impl FnOnce(&mut ExtWriter<'_>),
    ) -> i32 {
        let (language, version) = (Language::JAVA, self.version);
        let preamble = Preamble { code, flags, language, version, remark: None, codec: Codec::Json };
        let opaque = self.next_opaque;
        self.next_opaque = self.next_opaque.wrapping_add(1);
        self.queue.push_back(Output::Frame(session, preamble.encode(fields, body).to_bytes(Opaque(opaque))));
        opaque
    }

    pub(crate) fn has_asked(&self, opaque: i32) -> bool {
        (0..self.next_opaque).contains(&opaque)
    }

    pub(crate) fn close(&mut self, session: SessionId) {
        self.queue.push_back(Output::Close(session));
    }

    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
    }
}
