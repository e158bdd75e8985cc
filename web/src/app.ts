// What every page has.
import "./lib/htmx";
import "./lib/clocks";
import "./lib/inserts";
import "./lib/copy";
import "./lib/dialogs";
import "./lib/navigation";
import "./lib/quietly";
import "./lib/tables";
import "./lib/passkey";
import "./lib/themes";
import "./lib/toasts";
