//! Where a new connection goes: pin, tentative pin, Maglev.

use balancer_common::{
    parse::transport::Segment,
    reason::Reason,
    table::{line::HostLine, listener::Listener, pin},
    walk::{
        choose::{self, Chosen},
        place,
    },
};

use super::{By, Explanation, placeholder};
use crate::dataplane::{Dataplane, query::HostFamily};

impl Dataplane {
    pub(super) fn by_pin<F: HostFamily>(
        &self,
        segment: &Segment<F::Address>,
        listener: Listener<'_, HostLine>,
        told: &mut Explanation,
    ) -> bool {
        if !listener.by_client() {
            told.steps.push(("pin", "affinity goes by connection: clients are not pinned".into()));
            return false;
        }
        let key = F::pin_key(F::mask(segment.source, listener), listener.service());
        let Some(pinned) = pin::look_up::<F, _>(&self.tables, &key, listener.affinity_timeout()) else {
            told.steps.push(("pin", "none".into()));
            return false;
        };
        let verdict = match (pinned.serves, pinned.kept) {
            (true, _) => "which accepts its pinned clients",
            (_, true) => "which may not serve yet: served elsewhere this once, the pin is kept",
            _ => "which accepts no new connections: the client will be pinned anew",
        };
        told.steps.push(("pin", format!("to {}, {verdict}", placeholder(pinned.backend))));
        if !pinned.serves {
            return false;
        }
        told.backend = Some(pinned.backend);
        told.by = By::Pin;
        told.reason = Some(Reason::NewPinned);
        true
    }

    pub(super) fn by_tentative<F: HostFamily>(
        &self,
        segment: &Segment<F::Address>,
        listener: Listener<'_, HostLine>,
        told: &mut Explanation,
    ) -> bool {
        if !listener.by_client() {
            return false;
        }
        let key = F::pin_key(F::mask(segment.source, listener), listener.service());
        let lifetime = place::tentative_lifetime(&self.tables.settings, listener);
        match pin::look_up_tentative::<F, _>(&self.tables, &key, lifetime) {
            Some(pinned) if pinned.serves => {
                told.steps.push(("tentative pin", format!("to {}", placeholder(pinned.backend))));
                told.backend = Some(pinned.backend);
                told.by = By::Pin;
                told.reason = Some(Reason::NewTentative);
                true
            }
            _ => false,
        }
    }

    pub(super) fn by_maglev<F: HostFamily>(
        &self,
        segment: &Segment<F::Address>,
        listener: Listener<'_, HostLine>,
        told: &mut Explanation,
    ) {
        let hash = choose::client_hash::<F, _>(&self.tables, segment, listener);
        let (backend, by, reason) = match choose::for_new(&self.tables, listener, hash) {
            Chosen::Current(number) => (Some(number), By::Maglev, Reason::NewMaglev),
            Chosen::Previous(number) => (Some(number), By::PreviousTable, Reason::NewMaglev),
            Chosen::Nobody => (None, By::None, Reason::NoBackend),
        };
        let text = match backend {
            Some(number) => format!("{} table: {}", by.word(), placeholder(number)),
            None => "no backend accepts new clients".into(),
        };
        told.steps.push(("maglev", text));
        (told.backend, told.by, told.reason) = (backend, by, Some(reason));
    }
}
