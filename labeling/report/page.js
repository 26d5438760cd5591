"use strict";
// A line on the mel picture follows the player, a click on the picture seeks, and only one clip plays at a time.
const players = Array.from(document.querySelectorAll("audio"));
for (const player of players) {
  const picture = player.closest("article").querySelector(".mel-picture");
  const head = picture.querySelector(".head");
  const place = () => {
    const share = player.duration ? player.currentTime / player.duration : 0;
    head.style.left = 100 * share + "%";
    head.hidden = player.currentTime === 0;
    if (!player.paused) requestAnimationFrame(place);
  };
  player.addEventListener("play", () => {
    for (const other of players) if (other !== player) other.pause();
    place();
  });
  player.addEventListener("seeked", place);
  picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    if (player.duration) player.currentTime = player.duration * (event.clientX - box.left) / box.width;
    player.play();
  });
}
