document.querySelector("#app")!.textContent = "Madang";
