
"use strict";
(function () {
  // Sorting: every table of three rows or more; a column of numbers starts with the largest.
  function number(text) {
    var found = text.replace(/,/g, "").match(/^[^\d+-]{0,2}([+-]?\d+(?:\.\d+)?)/);
    return found ? parseFloat(found[1]) : null;
  }

  function sort(table, column, header) {
    var body = table.tBodies[0];
    var rows = Array.prototype.slice.call(body.rows);
    var texts = rows.map(function (row) { return row.cells[column].textContent.trim(); });
    var known = texts.filter(function (text) { return text && text !== "-"; });
    var numeric = known.length > 0 && known.every(function (text) { return number(text) !== null; });
    var first = numeric ? "descending" : "ascending";
    var other = numeric ? "ascending" : "descending";
    var order = header.getAttribute("aria-sort") === first ? other : first;
    var sign = order === "ascending" ? 1 : -1;
    var keyed = rows.map(function (row, at) {
      return { row: row, at: at, key: numeric ? number(texts[at]) : texts[at] };
    });
    keyed.sort(function (a, b) {
      if (a.key === null || b.key === null) {
        return (a.key === null) - (b.key === null) || a.at - b.at;
      }
      var more = numeric ? a.key - b.key : a.key.localeCompare(b.key);
      return sign * more || a.at - b.at;
    });
    keyed.forEach(function (one) { body.appendChild(one.row); });
    Array.prototype.forEach.call(table.tHead.rows[0].cells, function (cell) {
      if (cell.querySelector("button")) { cell.setAttribute("aria-sort", "none"); }
    });
    header.setAttribute("aria-sort", order);
  }

  document.querySelectorAll("table").forEach(function (table) {
    if (!table.tHead || !table.tBodies[0] || table.tBodies[0].rows.length < 3) { return; }
    Array.prototype.forEach.call(table.tHead.rows[0].cells, function (header, column) {
      if (!header.textContent.trim()) { return; }
      var button = document.createElement("button");
      button.type = "button";
      button.textContent = header.textContent;
      header.textContent = "";
      header.appendChild(button);
      header.setAttribute("aria-sort", "none");
      button.addEventListener("click", function () { sort(table, column, header); });
    });
  });

  // Pointing at an article names it and shows it in every panel.
  var data = JSON.parse(document.getElementById("points").textContent);
  var tip = document.querySelector(".tip");
  var asked = tip ? tip.textContent : "";

  function show(at, dimension) {
    document.querySelectorAll(".pt.on").forEach(function (one) { one.classList.remove("on"); });
    if (at === null) { return; }
    document.querySelectorAll('.pt[data-a="' + at + '"]').forEach(function (one) {
      one.classList.add("on");
      one.parentNode.appendChild(one);
    });
    if (!tip) { return; }
    var text = data.names[at];
    if (dimension !== null) {
      text += ": label " + data.labels[at][dimension] + ", prediction " + data.predictions[at][dimension];
    }
    tip.textContent = text;
  }

  ["pointerover", "click"].forEach(function (kind) {
    document.addEventListener(kind, function (event) {
      var point = event.target.closest ? event.target.closest(".pt, tr[data-a]") : null;
      if (!point) { return; }
      var panel = point.closest("svg[data-d]");
      show(Number(point.dataset.a), panel ? Number(panel.dataset.d) : null);
    });
  });
  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape" && tip) { show(null); tip.textContent = asked; }
  });

  // A link of the overview opens what it leads to; printing opens every fold.
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (one) { one.open = true; });
  });
})();
