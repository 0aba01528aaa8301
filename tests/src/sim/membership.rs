//! Planned faults of the workload's groups: members that join, leave, crash and stand still.

use std::time::Duration;

use super::faults::Fault;
use super::history::Change;
use super::tape::Dice;
use super::wishes;
use super::workload::{Member, Run};

/// Lets a fault of members happen.
pub(crate) async fn happen(run: Run, fault: Fault, dice: Dice) {
    let world = &run.world;
    match fault {
        Fault::Zombie => {
            let time = dice.seconds(60, 400);
            let Some(member) = dice.pick(&run.members()) else { return };
            world.with(|state| state.count(fault));
            member.note(world, Change::Paused);
            world.pause(&member.host, time);
        }
        Fault::Join => run.join_one(true),
        Fault::Visit => {
            let before = run.members().len();
            run.join_one(false);
            if run.members().len() > before {
                world.with(|state| state.count(fault));
                world.sleep(dice.seconds(2, 9)).await;
                if let Some(member) = run.take_newest_member() {
                    run.leave(member).await;
                }
            }
        }
        Fault::Leave => {
            if let Some(member) = take(&run, &dice) {
                world.with(|state| state.count(fault));
                run.leave(member).await;
            }
        }
        Fault::MemberCrash | Fault::SilentCrash => {
            if let Some(member) = take(&run, &dice) {
                world.with(|state| {
                    state.count(fault);
                    state.kill(member.host.index, fault == Fault::SilentCrash);
                });
                member.note(world, Change::Crashed);
                run.over(&member);
                world.sleep(dice.seconds(0, 20)).await;
                run.join_one(false);
            }
        }
        Fault::RollingRestart => {
            world.with(|state| state.count(fault));
            for _ in run.members() {
                if world.is_healed() {
                    return;
                }
                if let Some(member) = take(&run, &dice) {
                    run.leave(member).await;
                    run.join_one(false);
                    world.sleep(Duration::from_secs(3)).await;
                }
            }
        }
        Fault::Resubscribe => wishes::happen(run, dice).await,
        _ => {}
    }
}

/// Takes a member out: it is to end.
fn take(run: &Run, dice: &Dice) -> Option<Member> {
    let member = dice.pick(&run.members())?;
    run.forget(&member);
    Some(member)
}

/// The kinds that happen here.
pub(crate) const KINDS: [Fault; 8] = [
    Fault::Zombie,
    Fault::Join,
    Fault::Visit,
    Fault::Leave,
    Fault::MemberCrash,
    Fault::SilentCrash,
    Fault::RollingRestart,
    Fault::Resubscribe,
];
