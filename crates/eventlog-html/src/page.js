'use strict';
(() => {
  const byId = (id) => document.getElementById(id);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const rows = all('#events tbody tr');
  const chips = all('input[name=pcr]');
  const search = byId('q'), type = byId('type'), check = byId('check'), bank = byId('bank');
  const ofBank = all('[data-bank]');
  const texts = new Map();

  // What a search looks at: everything of an event but the dump of its bytes.
  const textOf = (row) => {
    if (!texts.has(row)) {
      const parts = [...row.querySelectorAll('td:not(.w), summary, dt, dd')].map((part) => part.textContent);
      texts.set(row, ('event ' + parts.join(' ')).toLowerCase());
    }
    return texts.get(row);
  };

  const chosen = () => chips.filter((chip) => chip.checked).map((chip) => chip.value);

  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const pcrs = new Set(chosen());
    let shown = 0;
    for (const row of rows) {
      const fits = (pcrs.size === 0 || pcrs.has(row.dataset.pcr))
        && (type.value === '' || row.dataset.type === type.value)
        && (check.value === '' || row.dataset.check === check.value)
        && words.every((word) => textOf(row).includes(word));
      row.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    byId('count').textContent = shown === rows.length ? `${shown} events` : `${shown} of ${rows.length} events`;
    byId('nothing').hidden = shown > 0;
    if (bank) {
      for (const part of ofBank) part.hidden = bank.value !== '' && part.dataset.bank !== bank.value;
      byId('pcrs')?.classList.toggle('one-bank', bank.value !== '');
    }
  };

  // The address keeps what is chosen, so that a link shows the same to somebody else.
  const keep = () => {
    const parameters = new URLSearchParams();
    if (chosen().length > 0) parameters.set('pcr', chosen().join(','));
    for (const control of [type, check, search]) if (control.value !== '') parameters.set(control.id, control.value);
    if (bank && bank.value !== bank.dataset.first) parameters.set('bank', bank.value);
    history.replaceState(null, '', '#' + parameters.toString().replaceAll('%2C', ','));
  };

  const choose = (control, value) => {
    control.value = value;
    if (control.value !== value) control.value = '';
  };

  let restored = false;
  const restore = () => {
    rows.forEach((row) => row.classList.remove('here'));
    const fragment = location.hash.slice(1);
    const event = /^e\d+$/.test(fragment) ? byId(fragment) : null;
    const parameters = new URLSearchParams(event ? '' : fragment);
    const pcrs = new Set((parameters.get('pcr') ?? '').split(','));
    chips.forEach((chip) => { chip.checked = pcrs.has(chip.value); });
    search.value = parameters.get('q') ?? '';
    choose(type, parameters.get('type') ?? '');
    choose(check, parameters.get('check') ?? '');
    // An event's address keeps the bank that is shown.
    if (bank && !(event && restored)) choose(bank, parameters.get('bank') ?? bank.dataset.first);
    filter();
    if (event) {
      event.classList.add('here');
      event.querySelector('details').open = true;
      event.scrollIntoView();
    } else if (parameters.has('pcr') && restored) {
      byId('controls').scrollIntoView();
    }
    restored = true;
  };

  const openAll = (open) => rows.forEach((row) => {
    if (!row.hidden) row.querySelector('details').open = open;
  });

  for (const control of [search, type, check, bank, ...chips]) {
    control?.addEventListener('input', () => { filter(); keep(); });
  }
  byId('open').addEventListener('click', () => openAll(true));
  byId('close').addEventListener('click', () => openAll(false));
  byId('reset').addEventListener('click', () => {
    history.replaceState(null, '', '#');
    restore();
  });
  addEventListener('hashchange', restore);
  addEventListener('keydown', (event) => {
    if (event.key === '/' && !/^(INPUT|SELECT)$/.test(document.activeElement?.tagName ?? '')) {
      event.preventDefault();
      search.focus();
    }
  });
  byId('controls').hidden = false;
  restore();
})();
