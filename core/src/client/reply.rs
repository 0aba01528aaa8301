//! Answers find the sub-machine that asked.

use super::signal::ReplyTo;
use super::*;
use crate::error::AccessDenied;
use crate::wire::Frame;

impl ClientMachine {
    pub(super) fn on_response(&mut self, id: RequestId, result: Result<Reply, RequestError>) {
        let Some(reply_to) = self.fx.reply_to(id) else {
            return;
        };
        self.on_reply(reply_to, result);
    }

    pub(super) fn on_reply(&mut self, reply_to: ReplyTo, result: Result<Reply, RequestError>) {
        let frame = |result: Result<Reply, RequestError>| match result {
            Ok(Reply::Frame(frame)) => Ok(frame),
            Ok(Reply::Pulled(_)) => Err(RequestError::never(RequestFailure::Busy)),
            Err(error) => Err(error),
        };
        match reply_to {
            ReplyTo::Names { call, server } => {
                let answer = self.names.on_reply(call, &server, frame(result), &mut self.fx);
                if let Some((reply_to, result)) = answer {
                    self.on_reply(reply_to, result.map(Reply::Frame));
                }
            }
            ReplyTo::Route { topic, template } => {
                let result = frame(result);
                if let Some(error) = trouble("no name server answered", &result) {
                    self.consumers.values_mut().for_each(|consumer| consumer.on_trouble(error.clone()));
                }
                self.routes.on_reply(&topic, template, result, &self.links, &mut self.fx);
                self.each_consumer(|consumer, at, fx| consumer.on_route_settled(&topic, at, fx));
            }
            ReplyTo::Heartbeat(endpoint) => {
                let result = frame(result);
                if let Some(error) = trouble(&alloc::format!("broker {endpoint}"), &result) {
                    self.consumers.values_mut().for_each(|consumer| consumer.on_trouble(error.clone()));
                }
                self.heartbeat.on_reply(&endpoint, result, &self.links, &mut self.fx);
            }
            ReplyTo::Unregister(leaving) => self.leave.on_reply(leaving, &mut self.fx),
            ReplyTo::Members { group, topic, round } => self.with_consumer(&group, |consumer, at, fx| {
                consumer.on_members(&topic, round, frame(result), at, fx);
            }),
            ReplyTo::Assignment { group, topic, round, broker } => self.with_consumer(&group, |consumer, at, fx| {
                consumer.on_assignment(&topic, round, broker, frame(result), at, fx);
            }),
            ReplyTo::Hidden { group, id, index, sent, time } => self.with_consumer(&group, |consumer, at, fx| {
                consumer.on_hidden((id, index), (sent, time), frame(result), at, fx);
            }),
            ReplyTo::Acked { group, id } => self.with_consumer(&group, |consumer, at, fx| {
                consumer.on_acked(id, frame(result), at, fx);
            }),
            ReplyTo::Offset { group, queue, epoch } => self.with_consumer(&group, |consumer, at, fx| {
                consumer.on_offset(&queue, epoch, frame(result), at, fx);
            }),
            ReplyTo::Lock { group, queues, asked, at: time } => self.with_consumer(&group, |consumer, at, fx| {
                consumer.on_lock_reply(&queues, asked, time, frame(result), at, fx);
            }),
            ReplyTo::Unlock { group, queues, asked } => self.with_consumer(&group, |consumer, at, fx| {
                consumer.on_unlock_reply(&queues, asked, frame(result), at, fx);
            }),
            ReplyTo::Check { group, queue, asked } => self.with_consumer(&group, |consumer, at, fx| {
                consumer.on_check_reply(&queue, asked, frame(result), at, fx);
            }),
            ReplyTo::Confirm { group, queue, epoch } => self.with_consumer(&group, |consumer, at, fx| {
                consumer.on_confirm(&queue, epoch, frame(result), at, fx);
            }),
            ReplyTo::StartOffset { group, queue, epoch } => self.with_consumer(&group, |consumer, at, fx| {
                consumer.on_start_offset(&queue, epoch, frame(result), at, fx);
            }),
            ReplyTo::CheckClient { group, topic, broker, version } => self.with_consumer(&group, |consumer, at, fx| {
                consumer.on_check_client(&topic, &broker, version, frame(result), at, fx);
            }),
            ReplyTo::Pull { group, queue, epoch, asked } => self.with_consumer(&group, |consumer, at, fx| {
                let result = result.map(|reply| match reply {
                    Reply::Pulled(pulled) => pulled,
                    Reply::Frame(frame) => {
                        Pulled::Refused { code: frame.header.code, remark: frame.header.remark.unwrap_or_default() }
                    }
                });
                consumer.on_pulled(&queue, epoch, asked, result, at, fx);
            }),
            ReplyTo::Commit { group, queue, epoch, offset } => self.with_consumer(&group, |consumer, at, fx| {
                consumer.on_commit_reply(&queue, epoch, offset, frame(result), at, fx);
            }),
            ReplyTo::SendBack { group, id } => self.with_consumer(&group, |consumer, at, fx| {
                consumer.on_send_back_reply(id, frame(result), at, fx);
            }),
            ReplyTo::Republish { group, id } => self.with_consumer(&group, |consumer, at, fx| {
                consumer.on_republish_reply(id, frame(result), at, fx);
            }),
            ReplyTo::Call(op) => self.fx.complete(op, CommandResult::Called(frame(result))),
        }
    }
}

/// What keeps consumers from starting, if this answer does.
fn trouble(who: &str, result: &Result<Frame, RequestError>) -> Option<StartError> {
    match result {
        Err(error) => Some(StartError::Unavailable(alloc::format!("{who}: {error}"))),
        Ok(frame) => {
            let remark = frame.header.remark.as_deref().unwrap_or_default();
            let why = AccessDenied::of(frame.header.code, remark)?;
            Some(StartError::Denied { why, remark: remark.into() })
        }
    }
}
