//! What has to be true of the tokens of a world.

use super::injector::{complain, demand};
use super::reasons::Reasons;
use super::world::{Home, Member, POOL, World};
use crate::CancellationToken;
use std::format;

fn reasons_of(token: &CancellationToken) -> Reasons {
    token.reason().map_or(Reasons::NONE, |reason| Reasons::from(&reason))
}

impl World {
    /// The reasons that a member may have, sooner or later.
    pub(super) fn may(&self, member: &Member) -> Reasons {
        let mut reasons = member.begun.get();
        for other in self.members.borrow().iter() {
            if member.above & other.bit != 0 {
                reasons = reasons.or(other.begun.get());
            }
        }
        reasons
    }

    /// The reasons that a member may have now: those of its own cancels, and those that its parents have.
    fn may_now(&self, member: &Member) -> Reasons {
        let mut reasons = member.begun.get();
        for parent in self.members.borrow().iter().filter(|parent| parent.bit & member.parents != 0) {
            let token = parent.token.borrow();
            reasons = reasons.or(token.as_ref().map_or_else(|| self.may(parent), reasons_of));
        }
        reasons
    }

    /// What holds at any time.
    pub(super) fn look_at_all(&self) {
        self.members.borrow().iter().for_each(|member| self.look_at(member));
    }

    pub(super) fn look_at(&self, member: &Member) {
        let token = member.token.borrow();
        let Some(token) = &*token else { return };
        let (before, name) = (member.seen.get(), member.name);
        let now = reasons_of(token);
        if token.is_cancelled() != (now != Reasons::NONE) {
            complain(|| format!("{name}: the reason and `is_cancelled` do not agree"));
        }
        if member.due.get() && now == Reasons::NONE {
            complain(|| format!("{name} is not cancelled"));
        }
        if !self.may_now(member).has(now) {
            complain(|| format!("{name} is cancelled for no reason, or for another's"));
        }
        if before != Reasons::NONE && before != now {
            complain(|| format!("{name} has another reason now, or is not cancelled any more"));
        }
        member.seen.set(now);
    }

    /// What holds when nothing is going on any more.
    pub(super) fn look_closely(&self) {
        self.tick_in_the_end();
        for member in self.members.borrow().iter() {
            member.due.set(self.may(member) != Reasons::NONE);
        }
        self.look_at_all();
        self.look_at_the_attached();
        self.look_at_the_pool();
    }

    /// There are as many nodes as there have to be: one for each token, and for each fork that was one (C8). Where nothing but
    /// tokens is.
    fn look_at_the_pool(&self) {
        let members = self.members.borrow();
        let has_links = members.iter().any(|member| member.parents & !member.ancestors != 0);
        let has_others = has_links
            || self.full.get()
            || self.crowded.get()
            || self.timed.get().is_some()
            || self.ticking.get() != 0
            || self.lines_given.get() > 0;
        if self.home != Home::Pool || has_others {
            return;
        }
        // How many of the children of each stand in its list, or have somebody there who took their place.
        let (mut nodes, mut children) = (0, [0; 32]);
        for member in members.iter().rev() {
            // From a cancelled one they have gone. A single one takes its parent's place; and without anybody above who could be
            // cancelled each has a place of its own.
            let cancelled = self.may(member) != Reasons::NONE;
            let left = if cancelled { 0 } else { children[member.bit.trailing_zeros() as usize] };
            let hears = members.iter().any(|above| above.bit & member.ancestors != 0 && self.is_here(above.name));
            let stays = self.is_here(member.name) || (left > 1 && hears);
            nodes += usize::from(stays);
            if member.parents != 0 {
                children[member.parents.trailing_zeros() as usize] += usize::from(stays || left == 1);
            }
        }
        demand(POOL.in_use() - self.in_use_before == nodes, "there are more nodes than there have to be, or fewer");
    }
}
