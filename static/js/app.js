// The browser's side: htmx fetches fragments, the modules below add what a page alone cannot do.
// The server renders everything; these modules move, mark and refresh what is there.

import "htmx.org";
import "htmx.org/dist/ext/hx-preload.js";
import { startActions } from "./actions.js";
import { defineComposer } from "./composer.js";
import { startCopying } from "./copying.js";
import { startKeys } from "./keys.js";
import { defineConversationList } from "./list.js";
import { startLive } from "./live.js";
import { startPanes } from "./panes.js";
import { startReading } from "./reading.js";
import { startSelecting } from "./selecting.js";
import { startZone } from "./zone.js";

startZone();
defineConversationList();
defineComposer();
startPanes();
startActions();
startCopying();
startReading();
startSelecting();
startKeys();
startLive();
