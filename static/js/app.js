// The browser's side: htmx fetches fragments, the modules below add what a page alone cannot do.
// The server renders everything; these modules move, mark and refresh what is there.

import "htmx.org";
import { startActions } from "./actions.js";
import { startAhead } from "./ahead.js";
import { defineComposer } from "./composer.js";
import { startDock } from "./dock.js";
import { startCopying } from "./copying.js";
import { startHandling } from "./handling.js";
import { startKeys } from "./keys.js";
import { defineConversationList } from "./list.js";
import { startLive } from "./live.js";
import { startLooking } from "./looking.js";
import { defineNoteText } from "./note_text.js";
import { startNotifying } from "./notifying.js";
import { startPanes } from "./panes.js";
import { startPicking } from "./picking.js";
import { defineRecipients } from "./recipients.js";
import { defineRichText } from "./richtext.js";
import { startPresence } from "./presence.js";
import { startReading } from "./reading.js";
import { startSelecting } from "./selecting.js";
import { startSuggesting } from "./suggesting.js";
import { startZone } from "./zone.js";

startZone();
defineConversationList();
defineRecipients();
defineNoteText();
defineComposer();
defineRichText();
startDock();
startPanes();
startActions();
startCopying();
startReading();
startAhead();
startLooking();
startSelecting();
startPicking();
startHandling();
startSuggesting();
startKeys();
startPresence();
startNotifying();
startLive();
