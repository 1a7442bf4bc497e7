/* command and commandfor for browsers that don't know them yet: the two commands that our dialogs use. */
const COMMANDS = { 'show-modal': (dialog) => dialog.showModal(), close: (dialog) => dialog.close() };

export function supportInvokers(document) {
  if ('command' in HTMLButtonElement.prototype) return;
  document.addEventListener('click', (event) => {
    const button = event.target.closest('button[commandfor]');
    const dialog = button && document.getElementById(button.getAttribute('commandfor'));
    if (dialog) COMMANDS[button.getAttribute('command')]?.(dialog);
  });
}

/* A form with data-dialog leads to a page that asks; where there is a script, the dialog of that name asks instead. */
export function askInDialogs(document) {
  document.addEventListener('submit', (event) => {
    const dialog = document.getElementById(event.target.dataset.dialog ?? '');
    if (!dialog?.showModal) return;
    event.preventDefault();
    dialog.showModal();
  });
}
