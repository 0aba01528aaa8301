//! Groups that change what they want while they run: of each there is one member, which subscribes and unsubscribes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rocketmq_core::config::Filter;

use super::faults::Fault;
use super::history::What;
use super::payload;
use super::tape::Dice;
use super::workload::{Member, Run, lock};

impl Run {
    /// What the member of a group subscribes to when it starts.
    pub(crate) fn filter_of(&self, group: usize) -> Filter {
        let setup = &self.plan.groups[group].setup;
        match setup.sql {
            _ if setup.changing => payload::filter(self.wish_of(group)),
            Some(expression) => Filter::sql(payload::expression(expression)),
            None if setup.tags.is_empty() => Filter::all(),
            None => Filter::tags(setup.tags.join(" || ")),
        }
    }

    /// Which filter a group wants, if that changes.
    pub(crate) fn wish_of(&self, group: usize) -> usize {
        lock(&self.inner.wishes).get(&group).copied().unwrap_or(0)
    }

    /// A member that starts wants what its group wants now.
    pub(crate) fn note_first_wish(&self, member: &Member, begun: bool) {
        if self.plan.groups[member.group].setup.changing {
            self.note_wish(member, Some(self.wish_of(member.group)), begun.then_some(true));
        }
    }

    /// Something is wanted of the topic, or (`None`) nothing; `done` tells how that ended.
    fn note_wish(&self, member: &Member, filter: Option<usize>, done: Option<bool>) {
        let (member, group) = (member.id, member.name.clone());
        self.world.note(match done {
            None => What::Subscribing { member, group, filter },
            Some(held) => What::Subscribed { member, group, filter, held },
        });
    }

    /// Subscribes, or gives the topic up, unless that is under way; whether it worked.
    async fn change_wish(&self, member: &Member, filter: Option<usize>) -> bool {
        let Some((_, consumer)) = lock(&member.state.handles).clone() else { return false };
        if member.state.changing.swap(true, Ordering::Relaxed) {
            return false;
        }
        if let Some(filter) = filter {
            // A process that takes the place of this one starts with it.
            lock(&self.inner.wishes).insert(member.group, filter);
        }
        self.note_wish(member, filter, None);
        let topic = self.plan.groups[member.group].setup.topic.clone();
        let change = async move {
            match filter {
                Some(filter) => consumer.subscribe(&*topic, payload::filter(filter)).await.is_ok(),
                None => consumer.unsubscribe(&*topic).await.is_ok(),
            }
        };
        let run = self.clone();
        let of = member.clone();
        let task = self.world.spawn_on(&member.host, async move {
            let held = change.await;
            run.note_wish(&of, filter, Some(held));
            held
        });
        let held = task.await == Some(true);
        member.state.changing.store(false, Ordering::Relaxed);
        self.world.reach(match (filter, held) {
            (_, false) => "a subscription does not change",
            (Some(_), true) => "a subscription changes",
            (None, true) => "a topic is given up",
        });
        held
    }
}

/// One of the groups that change what they want does so.
pub(crate) async fn happen(run: Run, dice: Dice) {
    let members: Vec<_> = changing(&run).into_iter().filter(|member| lock(&member.state.handles).is_some()).collect();
    let Some(member) = dice.pick(&members) else { return };
    run.world.with(|state| state.count(Fault::Resubscribe));
    let filter = usize::try_from(dice.range(0, payload::FILTERS.len() as u64 - 1)).unwrap_or(0);
    // Of two subscriptions the broker keeps the one with the later time; clocks that differ decide for the wrong one.
    let clocks =
        run.world.with(|state| [Fault::WallJump, Fault::ClockSkew].iter().any(|fault| state.swarm.has(*fault)));
    let filter = if clocks { run.wish_of(member.group) } else { filter };
    if dice.range(0, 2) > 0 {
        run.change_wish(&member, None).await;
        if dice.range(0, 1) == 0 {
            run.world.sleep(dice.seconds(0, 60)).await;
        }
    }
    run.change_wish(&member, Some(filter)).await;
}

/// In the end each group wants something.
pub(crate) async fn settle(run: &Run) {
    for member in changing(run) {
        while lock(&run.inner.members).iter().any(|known| known.id == member.id) {
            if run.change_wish(&member, Some(run.wish_of(member.group))).await {
                break;
            }
            run.world.sleep(Duration::from_secs(2)).await;
        }
    }
}

fn changing(run: &Run) -> Vec<Member> {
    let members = run.members().into_iter();
    members.filter(|member| run.plan.groups[member.group].setup.changing).collect()
}
